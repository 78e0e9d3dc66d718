// The wipe: two pictures on top of each other. The divider is here in the browser, and no move of it asks the server.

const WIPE_KEYS = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10 }; // per cent

class Wipe {
  constructor(parent) {
    const side = (name) => ({
      image: el("img", { class: name, draggable: "false", "data-testid": `wipe-${name}` }),
      tag: el("span", { class: `tag ${name}` }),
    });
    this.sides = [side("first"), side("second")];
    this.handle = el("div", { class: "handle", role: "slider", tabindex: "0", "aria-valuemin": "0", "aria-valuemax": "100", "data-testid": "wipe-handle" }, el("span", { class: "grip", "aria-hidden": "true" }));
    this.stage = el("div", { class: "stage", "data-testid": "wipe" }, ...this.sides.map(({ image }) => image), ...this.sides.map(({ tag }) => tag), this.handle);
    this.root = el("div", { class: "root" }, this.stage);
    parent.append(this.root);
    this.size = watchSize(this.root, () => this.resize());
    this.listen();
  }

  wake() {
    this.size.start();
  }

  sleep() {
    this.size.stop();
  }

  update({ data }) {
    this.data = data;
    this.at ??= MEMORY.get(data.key)?.at ?? 50;
    data.pictures.forEach(({ id, png }, n) => {
      const { image, tag } = this.sides[n];
      if (image.dataset.id !== id) {
        image.dataset.id = id;
        image.src = `data:image/png;base64,${png}`;
      }
      image.alt = tag.textContent = data.names[n];
    });
    this.handle.setAttribute("aria-label", data.label);
    this.resize();
    this.place(this.at);
  }

  resize() {
    const { width, height, size } = this.data;
    const tall = fitWindow((size * height) / width, 0.7, 200);
    this.stage.style.maxWidth = `${Math.round((tall * width) / height)}px`;
    this.stage.style.aspectRatio = `${width} / ${height}`;
  }

  listen() {
    const { stage, handle } = this;
    const follow = (event) => {
      const box = stage.getBoundingClientRect();
      this.place((100 * (event.clientX - box.left)) / box.width);
    };
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      handle.focus({ preventScroll: true });
      stage.setPointerCapture(event.pointerId);
      follow(event);
    });
    stage.addEventListener("pointermove", (event) => {
      if (stage.hasPointerCapture(event.pointerId)) follow(event);
    });
    handle.addEventListener("keydown", (event) => {
      const ends = { Home: 0, End: 100 };
      if (event.ctrlKey || event.altKey || event.metaKey || !(event.key in WIPE_KEYS || event.key in ends)) return;
      event.preventDefault();
      this.place(ends[event.key] ?? this.at + WIPE_KEYS[event.key] * (event.shiftKey ? 5 : 1));
    });
  }

  // `at`: how much of the first picture is shown, in per cent of the width.
  place(at) {
    this.at = clamp(at, 0, 100);
    const [first, second] = this.sides;
    first.image.style.clipPath = `inset(0 ${100 - this.at}% 0 0)`;
    second.image.style.clipPath = `inset(0 0 0 ${this.at}%)`;
    first.tag.style.opacity = this.at < 20 ? 0 : 1;
    second.tag.style.opacity = this.at > 80 ? 0 : 1;
    this.handle.style.left = `${this.at}%`;
    const share = Math.round(this.at);
    const [a, b] = this.data.names;
    this.handle.setAttribute("aria-valuenow", share);
    this.handle.setAttribute("aria-valuetext", `${share} % ${a}, ${100 - share} % ${b}`);
    MEMORY.set(this.data.key, { kind: "wipe", at: this.at });
  }
}

export default (component) => mountOnce(component, (parent) => new Wipe(parent));
