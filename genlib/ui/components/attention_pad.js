// Attention by hand. The arithmetic is that of genlib/layers/attention.py: n filters along each axis, each a Gaussian that sums to one.

const NAMES = { n: "Filters a side, N", delta: "Stride δ", sigma: "Width σ", gamma: "Intensity γ" };
const BLUE = "#56b4e9";
const ORANGE = "#e69f00";

// n rows of `length` weights; row i is centred at centre + (i - n/2 + 0.5) delta.
function filterBank(centre, delta, sigma, n, length) {
  return Array.from({ length: n }, (_, i) => {
    const mean = centre + (i - n / 2 + 0.5) * delta;
    const logits = Array.from({ length }, (_, a) => -((a - mean) ** 2) / (2 * sigma * sigma));
    const top = Math.max(...logits); // as a softmax: finite even for a filter far outside
    const weights = logits.map((value) => Math.exp(value - top));
    const sum = weights.reduce((a, b) => a + b, 0);
    return weights.map((value) => value / sum);
  });
}

const product = (a, b) => a.map((row) => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));
const transpose = (a) => a[0].map((_, j) => a.map((row) => row[j]));

class AttentionPad {
  constructor(parent) {
    this.scene = this.canvas("Picture, with the grid", "attention-grid", { class: "grid", tabindex: "0", role: "application" });
    this.glimpse = this.canvas("Glimpse it reads, N × N", "attention-glimpse", { role: "img" });
    this.written = this.canvas("Glimpse written back", "attention-written", { role: "img" });
    this.pads = el("div", { class: "pads" }, this.scene.figure, this.glimpse.figure, this.written.figure);
    this.sliders = el("div", { class: "sliders" });
    this.where = el("div", { class: "where", "data-testid": "attention-where" });
    this.live = el("div", { class: "sr", role: "status", "aria-live": "polite" });
    const keys = el("details", { class: "keys" }, el("summary", { text: "Keys" }), el("p", { text: "Arrow keys move the grid, + and − change the stride, [ and ] the width σ." }));
    this.root = el("div", { class: "root", "data-testid": "attention" }, this.pads, this.sliders, this.where, keys, this.live);
    parent.append(this.root);
    this.later = new Later(() => this.commit());
    this.size = watchSize(this.root, () => this.data && this.draw());
    const { node } = this.scene;
    node.addEventListener("pointerdown", (event) => this.down(event));
    node.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) node.addEventListener(name, () => this.up());
    node.addEventListener("keydown", (event) => this.key(event));
  }

  canvas(title, testid, attributes) {
    const node = el("canvas", { "data-testid": testid, "aria-label": title, ...attributes });
    return { node, figure: el("figure", { class: "pad" }, el("figcaption", { text: title }), node) };
  }

  wake() {
    this.size.start();
  }

  sleep() {
    this.later.flush();
    this.size.stop();
  }

  update({ data, setStateValue }) {
    this.send = setStateValue;
    this.theme = readTheme(this.root);
    const restart = !this.data || data.source !== this.data.source;
    const kept = MEMORY.get(data.key);
    const first = !this.data;
    this.data = data;
    if (restart) {
      const bytes = fromBase64(data.image);
      this.image = Array.from({ length: data.height }, (_, r) => Array.from({ length: data.width }, (_, c) => bytes[r * data.width + c] / 255));
      if (first && kept?.kind === "attention" && kept.source === data.source) Object.assign(this, kept.state);
      else Object.assign(this, { grid: { ...data.start }, nonce: newNonce() });
      this.build();
    }
    this.draw();
  }

  build() {
    this.inputs = {};
    const fields = Object.entries(this.data.limits).map(([name, [min, max, step]]) => {
      const output = el("output");
      const input = el("input", { type: "range", min, max, step, "aria-label": NAMES[name], "data-testid": `attention-${name}` });
      input.value = this.grid[name];
      input.addEventListener("input", () => this.set({ [name]: +input.value }));
      input.addEventListener("change", () => this.commit());
      this.inputs[name] = { input, output };
      return el("label", { class: "field" }, el("span", { text: NAMES[name] }), input, output);
    });
    this.sliders.replaceChildren(...fields);
  }

  set(changes) {
    const { limits, width, height } = this.data;
    const grid = { ...this.grid, ...changes };
    for (const [name, [low, high]] of Object.entries(limits)) grid[name] = clamp(grid[name], low, high);
    grid.x = clamp(grid.x, 0, width - 1);
    grid.y = clamp(grid.y, 0, height - 1);
    this.grid = grid;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.draw();
    });
  }

  commit() {
    this.later.cancel();
    const state = { grid: this.grid, nonce: this.nonce };
    MEMORY.set(this.data.key, { kind: "attention", source: this.data.source, state });
    this.send("value", { ...this.grid, source: this.data.source, nonce: this.nonce });
    this.live.textContent = this.where.textContent;
  }

  // --- the hand ------------------------------------------------------------------------------------------------------------------------

  // Picture coordinates of a pointer event: pixel centres are whole numbers.
  at(event) {
    const box = this.scene.node.getBoundingClientRect();
    const scale = box.width / this.data.width;
    return { x: (event.clientX - box.left) / scale - 0.5, y: (event.clientY - box.top) / scale - 0.5, scale };
  }

  corner() {
    const half = (this.grid.delta * Math.max(1, this.grid.n - 1)) / 2;
    return { x: this.grid.x + half, y: this.grid.y + half };
  }

  down(event) {
    const { x, y, scale } = this.at(event);
    const corner = this.corner();
    const onCorner = Math.hypot(x - corner.x, y - corner.y) * scale < 22;
    this.held = onCorner ? { corner: true } : { dx: this.grid.x - x, dy: this.grid.y - y };
    const inside = Math.max(Math.abs(x - this.grid.x), Math.abs(y - this.grid.y)) <= corner.x - this.grid.x + 1.5;
    if (!onCorner && !inside) this.held = { dx: 0, dy: 0 }; // a click elsewhere brings the grid there
    this.scene.node.setPointerCapture(event.pointerId);
    this.scene.node.classList.add("held");
    this.move(event);
  }

  move(event) {
    if (!this.held) return;
    const { x, y } = this.at(event);
    if (this.held.corner) {
      const half = Math.max(x - this.grid.x, y - this.grid.y, 0);
      this.set({ delta: (2 * half) / Math.max(1, this.grid.n - 1) });
    } else this.set({ x: x + this.held.dx, y: y + this.held.dy });
  }

  up() {
    if (!this.held) return;
    this.held = undefined;
    this.scene.node.classList.remove("held");
    this.commit();
  }

  key(event) {
    const { x, y, delta, sigma } = this.grid;
    const step = event.shiftKey ? 2 : 0.5;
    const change = {
      ArrowLeft: { x: x - step }, ArrowRight: { x: x + step }, ArrowUp: { y: y - step }, ArrowDown: { y: y + step },
      "+": { delta: delta + 0.2 }, "-": { delta: delta - 0.2 }, "]": { sigma: sigma + 0.2 }, "[": { sigma: sigma - 0.2 },
    }[event.key];
    if (!change) return;
    event.preventDefault();
    event.stopPropagation();
    this.set(change);
    this.later.start();
  }

  // --- drawing -------------------------------------------------------------------------------------------------------------------------

  draw() {
    const { height, width, size } = this.data;
    const { n, x, y, delta, sigma, gamma } = this.grid;
    const fy = filterBank(y, delta, sigma, n, height);
    const fx = filterBank(x, delta, sigma, n, width);
    const read = product(product(fy, this.image), transpose(fx)).map((row) => row.map((value) => gamma * value));
    const back = product(product(transpose(fy), read), fx).map((row) => row.map((value) => value / gamma));
    const side = Math.floor(Math.min(fitWindow(size, 0.52, 200), (this.root.clientWidth - 44) / 2.6) / width) * width || width;
    this.paint(this.scene.node, this.image, side, (side * height) / width, 1);
    this.paint(this.glimpse.node, read, 0.8 * side, 0.8 * side, 1);
    const top = Math.max(...back.flat(), 1e-9);
    this.paint(this.written.node, back, 0.8 * side, (0.8 * side * height) / width, top); // stretched to its own brightest pixel
    this.overlay(side / width);
    for (const [name, { input, output }] of Object.entries(this.inputs)) {
      input.value = this.grid[name];
      output.textContent = name === "n" ? String(n) : this.grid[name].toFixed(1);
    }
    this.where.textContent = `centre (${x.toFixed(1)}, ${y.toFixed(1)}) · the grid spans ${(delta * (n - 1)).toFixed(1)} pixels · ${n * n} numbers instead of ${height * width}`;
    this.root.dataset.grid = JSON.stringify(this.grid);
    this.root.dataset.glimpse = JSON.stringify(read.map((row) => row.map((value) => +value.toFixed(5))));
    this.root.dataset.written = JSON.stringify(back.map((row) => row.map((value) => +value.toFixed(5))));
  }

  paint(node, values, cssWidth, cssHeight, top) {
    const context = fitCanvas(node, cssWidth, cssHeight);
    const [rows, columns] = [values.length, values[0].length];
    const small = offscreen(columns, rows);
    const pixels = new ImageData(columns, rows);
    values.flat().forEach((value, i) => {
      const level = Math.round(255 * clamp(value / top, 0, 1));
      pixels.data.set([level, level, level, 255], 4 * i);
    });
    small.getContext("2d").putImageData(pixels, 0, 0);
    context.clearRect(0, 0, cssWidth, cssHeight);
    context.drawImage(small, 0, 0, cssWidth, cssHeight);
  }

  overlay(scale) {
    const { n, x, y, delta, sigma } = this.grid;
    const context = this.scene.node.getContext("2d");
    const place = (value) => (value + 0.5) * scale;
    const half = (delta * Math.max(1, n - 1)) / 2;
    context.strokeStyle = ORANGE;
    context.lineWidth = 3;
    context.strokeRect(place(x - half), place(y - half), 2 * half * scale, 2 * half * scale);
    context.strokeStyle = BLUE;
    context.lineWidth = 1.5;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        const [cx, cy] = [place(x + (j - n / 2 + 0.5) * delta), place(y + (i - n / 2 + 0.5) * delta)];
        context.globalAlpha = 0.9;
        context.beginPath();
        context.arc(cx, cy, Math.max(2, sigma * scale), 0, 2 * Math.PI);
        context.stroke();
        context.fillStyle = BLUE;
        context.beginPath();
        context.arc(cx, cy, 2.5, 0, 2 * Math.PI);
        context.fill();
      }
    }
    context.globalAlpha = 1;
    context.fillStyle = ORANGE;
    context.fillRect(place(x + half) - 9, place(y + half) - 9, 18, 18);
  }
}

export default (component) => mountOnce(component, (parent) => new AttentionPad(parent));
