// The latent pad: a plane of codes. The atlas of decoded pictures is here in the browser, so a drag decodes without asking the server.

const KEY_STEPS = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
const GRAB = 16; // CSS pixels around an anchor that take hold of it
const PATH_SECONDS = 3;

class Pad {
  constructor(parent) {
    this.plane = el("canvas", { class: "plane", tabindex: "0", role: "application", "data-testid": "pad-plane" });
    this.picture = el("canvas", { class: "picture", role: "img", "aria-label": "The decoded picture", "data-testid": "pad-picture" });
    this.zText = el("dd", { "data-testid": "pad-z" });
    this.radius = el("dd");
    this.nearText = el("dd", { "data-testid": "pad-nearest" });
    this.nearTitle = el("dt", { text: "near" });
    this.legend = el("div", { class: "group legend", role: "group", "aria-label": "Classes: press one to see it alone" });
    const toggle = (label, name) => button(label, { testid: `pad-toggle-${name}`, "aria-pressed": "true", onClick: () => this.toggle(name) });
    this.toggles = { sheet: toggle("Decodes", "sheet"), points: toggle("Codes", "points"), rings: toggle("Prior", "rings") };
    this.setA = button("Set A", { keys: "A, or Shift + click", testid: "pad-set-a", onClick: () => this.setAnchor("a", this.z) });
    this.setB = button("Set B", { keys: "B, or Alt + click", testid: "pad-set-b", onClick: () => this.setAnchor("b", this.z) });
    this.playButton = button("Play path", { iconName: "play", show: false, keys: "P", testid: "pad-play", onClick: () => this.playing ? this.stop() : this.play() });
    this.strip = el("canvas", { role: "img", "aria-label": "Pictures along the path from A to B", "data-testid": "pad-strip" });
    this.live = el("div", { class: "sr", role: "status", "aria-live": "polite" });
    this.stripRow = el("div", { class: "strip" }, this.playButton, el("span", { class: "end", text: "A" }), this.strip, el("span", { class: "end", text: "B" }));
    this.radiusTitle = el("dt", { text: "‖z‖" });
    this.facts = el("dl", { class: "facts" }, el("dt", { text: "z" }), this.zText, this.radiusTitle, this.radius, this.nearTitle, this.nearText);
    this.side = el(
      "div",
      { class: "side" },
      el("div", { class: "view" }, this.picture, this.facts),
      this.legend,
      el("div", { class: "group", role: "group", "aria-label": "Show" }, ...Object.values(this.toggles), this.setA, this.setB),
      el("details", { class: "keys" }, el("summary", { text: "Keys" }), el("p", { text: "Arrows move the point, with Shift further; Enter sends it; A and B set the ends of the path, P plays it." })),
    );
    this.root = el("div", { class: "root", "data-testid": "pad" }, el("div", { class: "layout" }, this.plane, this.side), this.stripRow, this.live);
    parent.append(this.root);
    this.shown = { sheet: true, points: true, rings: true };
    this.decodes = 0;
    this.later = new Later(() => this.commit(), 500);
    this.size = watchSize(this.root, () => this.resize());
    this.listen();
  }

  wake() {
    this.size.start();
  }

  sleep() {
    // A message sent while the component goes away would be lost: it is owed, and sent when the user comes back.
    this.owed ||= this.later.due || Boolean(this.playing);
    this.later.cancel();
    this.stop(false);
    this.remember();
    this.size.stop();
  }

  update({ data, setStateValue }) {
    this.send = setStateValue;
    this.data = data;
    if (data.source !== this.source) this.reset();
    if (this.owed) this.later.start();
    this.owed = false;
    if (data.points_id !== this.pointsId) this.readPoints();
    if (data.atlas.id !== this.atlasId) this.readAtlas();
    this.plane.setAttribute("aria-label", `${data.label}: latent plane from ${-data.extent} to ${data.extent}. Arrow keys move the point, Enter sends it.`);
    for (const node of [this.setA, this.setB, this.stripRow]) node.hidden = !data.path;
    this.toggles.points.hidden = this.legend.hidden = this.nearTitle.hidden = this.nearText.hidden = !this.points;
    this.toggles.rings.hidden = !data.rings.length;
    this.theme = readTheme(this.root);
    const legend = JSON.stringify([data.class_names, this.theme.dark]);
    if (legend !== this.legendOf) this.buildLegend(legend);
    this.base = null;
    this.resize();
  }

  reset() {
    const { data } = this;
    const kept = MEMORY.get(data.key);
    if (kept && kept.kind === "pad" && kept.source === data.source && !this.source) Object.assign(this, structuredClone(kept.state));
    else Object.assign(this, { z: [...data.z], a: [...data.a], b: [...data.b], nonce: newNonce(), owed: false });
    this.source = data.source;
    this.drag = null;
    this.stop(false);
    this.later.cancel();
    this.remember();
  }

  remember() {
    const { z, a, b, nonce, owed } = this;
    MEMORY.set(this.data.key, { kind: "pad", source: this.source, state: structuredClone({ z, a, b, nonce, owed }) });
  }

  readPoints() {
    const { data } = this;
    this.pointsId = data.points_id;
    this.points = data.points ? new Float32Array(fromBase64(data.points).buffer) : null;
    this.classes = data.classes ? fromBase64(data.classes) : null;
    this.centres = this.points && this.classes ? classCentres(this.points, this.classes, data.class_names.length) : [];
    this.only = null;
    this.hoverClass = null;
  }

  // The old atlas stays in use until the new one is decoded: no flicker when a training run sends a better one.
  async readAtlas() {
    const { atlas } = this.data;
    this.atlasId = atlas.id;
    const bitmap = await decodeAsset(atlas).catch((error) => {
      if (this.atlasId === atlas.id) this.atlasId = null; // the next run of the page tries again
      throw error;
    });
    this.decodes += 1;
    if (this.atlasId !== atlas.id) return bitmap.close?.();
    this.sheet = offscreen(bitmap.width, bitmap.height);
    const context = this.sheet.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    bitmap.close?.();
    this.tileHeight = this.sheet.height / this.data.grid;
    this.tileWidth = this.sheet.width / this.data.grid;
    this.texels = context.getImageData(0, 0, this.sheet.width, this.sheet.height).data;
    this.grid = this.data.grid;
    this.negative = isGrey(this.texels) ? negativeOf(this.sheet) : null;
    this.base = null;
    this.resize();
  }

  buildLegend(legend) {
    this.legendOf = legend;
    this.legend.classList.toggle("short", this.data.class_names.every((name) => name.length < 3));
    this.legend.replaceChildren(
      ...this.data.class_names.map((name, index) => {
        const node = button(name, { testid: `pad-class-${index}`, "aria-pressed": String(this.only === index), onClick: () => this.isolate(this.only === index ? null : index) });
        const dot = el("span", { class: "dot" });
        dot.style.background = this.colour(index);
        node.prepend(dot);
        node.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && this.hoverLegend(index));
        node.addEventListener("pointerleave", () => this.hoverLegend(null));
        return node;
      }),
    );
  }

  isolate(index) {
    this.only = index;
    this.hoverClass = null;
    [...this.legend.children].forEach((node, i) => press(node, i === index));
    this.say(index === null ? "All classes" : `Only class ${this.data.class_names[index]}`);
    this.base = null;
    this.draw();
  }

  hoverLegend(index) {
    this.hoverClass = index;
    this.base = null;
    this.draw();
  }

  toggle(name) {
    this.shown[name] = !this.shown[name];
    press(this.toggles[name], this.shown[name]);
    this.base = null;
    this.draw();
  }

  // --- pointer and keyboard ------------------------------------------------------------------------------------------------------------

  listen() {
    const { plane } = this;
    plane.addEventListener("pointerdown", (event) => this.down(event));
    plane.addEventListener("pointermove", (event) => this.drag?.id === event.pointerId && this.dragTo(event));
    plane.addEventListener("pointerup", (event) => this.up(event));
    plane.addEventListener("pointercancel", (event) => this.up(event));
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.strip.addEventListener("click", (event) => {
      const box = this.strip.getBoundingClientRect();
      const index = clamp(Math.floor(((event.clientX - box.left) / box.width) * this.data.frames), 0, this.data.frames - 1);
      this.stop(false);
      this.z = this.onPath(index / (this.data.frames - 1));
      this.commit();
      this.draw();
    });
  }

  down(event) {
    if (event.button !== 0 || this.drag) return;
    this.stop(false);
    this.plane.setPointerCapture(event.pointerId);
    const [x, y] = this.localPosition(event);
    const near = (name) => this.data.path && Math.hypot(x - this.toX(this[name][0]), y - this.toY(this[name][1])) <= GRAB;
    let target = "z";
    if (this.data.path && event.shiftKey) target = "a";
    else if (this.data.path && event.altKey) target = "b";
    // The point itself wins where it lies on an anchor, or the point could never be taken away from it.
    else if (Math.hypot(x - this.toX(this.z[0]), y - this.toY(this.z[1])) > GRAB * 0.6) target = near("a") ? "a" : near("b") ? "b" : "z";
    this.drag = { id: event.pointerId, target };
    this.dragTo(event);
  }

  dragTo(event) {
    this[this.drag.target] = this.codeAt(...this.localPosition(event));
    this.draw();
  }

  up(event) {
    if (this.drag?.id !== event.pointerId) return;
    this.drag = null;
    this.commit();
    this.draw();
  }

  key(event) {
    const onPlane = event.composedPath()[0] === this.plane;
    const letter = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    let used = true;
    if (onPlane && event.key in KEY_STEPS) {
      this.stop(false);
      const step = (event.shiftKey ? 0.5 : 0.1) * (this.data.extent / 3);
      this.z = this.inside(this.z.map((v, i) => v + KEY_STEPS[event.key][i] * step));
      this.later.start();
      this.say(`z = ${this.z.map((v) => v.toFixed(2)).join(", ")}`);
    } else if (onPlane && event.key === "Enter") this.commit();
    else if (this.data.path && (letter === "a" || letter === "b")) this.setAnchor(letter, this.z);
    else if (this.data.path && letter === "p") this.playing ? this.stop() : this.play();
    else used = false;
    if (used) event.preventDefault();
    if (used || letter.length === 1) event.stopPropagation(); // Streamlit's own one-letter shortcuts
    this.draw();
  }

  setAnchor(name, z) {
    this[name] = [...z];
    this.say(`${name.toUpperCase()} set`);
    this.commit();
    this.draw();
  }

  inside(z) {
    return z.map((v) => clamp(v, -this.data.extent, this.data.extent));
  }

  onPath(t) {
    return [0, 1].map((k) => this.a[k] + (this.b[k] - this.a[k]) * t);
  }

  // From A to B and back until stopped; with reduced motion, nine jumps and an end.
  play() {
    this.playing = { start: performance.now() };
    this.later.cancel();
    setIcon(this.playButton, "pause");
    this.playButton.setAttribute("aria-label", "Stop");
    this.draw();
  }

  stop(commit = true) {
    if (!this.playing) return;
    this.playing = null;
    setIcon(this.playButton, "play");
    this.playButton.setAttribute("aria-label", "Play path");
    if (commit) this.commit();
  }

  advance(now) {
    const phase = (now - this.playing.start) / 1000 / PATH_SECONDS;
    if (reducedMotion()) {
      const step = Math.floor(phase * this.data.frames);
      this.z = this.onPath(Math.min(1, step / (this.data.frames - 1)));
      if (step >= this.data.frames) this.stop();
    } else {
      const t = phase % 2;
      this.z = this.onPath(t < 1 ? t : 2 - t);
    }
  }

  commit() {
    this.later.cancel();
    this.remember();
    this.send("value", { source: this.source, nonce: this.nonce, z: this.z, a: this.a, b: this.b });
  }

  say(text) {
    this.live.textContent = text;
  }
}

Object.assign(Pad.prototype, padView);

export default (component) => mountOnce(component, (parent) => new Pad(parent));
