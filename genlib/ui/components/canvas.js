// The pixel editor: a small picture (ink) under a mask of known pixels. Pure state in Editor; Python hears of it only when a stroke ends.

const TOOLS = {
  draw: { label: "Draw", key: "D" },
  erase: { label: "Erase", key: "E" },
  hide: { label: "Hide", key: "H" },
  reveal: { label: "Reveal", key: "R" },
  box: { label: "Box", key: "B" },
};
const MODE_TOOLS = { draw: ["draw", "erase"], mask: ["hide", "reveal", "box"], both: ["draw", "erase", "hide", "reveal", "box"], pick: [] };
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const UNDO_LIMIT = 200;

class Editor {
  constructor(parent) {
    this.surface = el("canvas", { tabindex: "0", role: "application", "data-testid": "canvas-surface" });
    this.status = el("div", { class: "status", "data-testid": "canvas-status", "aria-hidden": "true" });
    this.live = el("div", { class: "sr", role: "status", "aria-live": "polite" });
    this.toolButtons = {};
    for (const [name, { label, key }] of Object.entries(TOOLS)) {
      this.toolButtons[name] = button(label, { iconName: name, keys: key, testid: `canvas-tool-${name}`, "aria-pressed": "false", onClick: () => this.choose(name) });
    }
    this.undoButton = button("Undo", { iconName: "undo", keys: "Ctrl+Z", testid: "canvas-undo", onClick: () => this.undo() });
    this.redoButton = button("Redo", { iconName: "redo", keys: "Ctrl+Shift+Z", testid: "canvas-redo", onClick: () => this.redo() });
    this.clearButton = button("Clear", { iconName: "clear", keys: "Delete", testid: "canvas-clear", onClick: () => this.clear() });
    this.brushInput = el("input", { type: "range", min: 1, max: 9, "data-testid": "canvas-brush", "aria-label": "Brush size in pixels" });
    this.brushOutput = el("output");
    this.brushInput.addEventListener("input", () => this.setBrush(+this.brushInput.value));
    this.inkInput = el("input", { type: "range", min: 0, max: 255, "data-testid": "canvas-ink", "aria-label": "Ink, 0 black to 255 white" });
    this.inkOutput = el("output");
    this.swatch = el("span", { class: "swatch", "aria-hidden": "true" });
    this.inkInput.addEventListener("input", () => this.setInk(+this.inkInput.value));
    this.inkField = el("label", { class: "field" }, el("span", { text: "Ink" }), this.inkInput, this.swatch, this.inkOutput);
    this.presetGroup = el("div", { class: "group presets" });
    this.presets = el("div", {}, el("p", { class: "heading", text: "Hide a part" }), this.presetGroup);
    this.keysText = el("p");
    this.side = el(
      "div",
      { class: "side" },
      (this.toolGroup = el("div", { class: "group", role: "group", "aria-label": "Tools" }, ...Object.values(this.toolButtons))),
      (this.sliders = el("div", { class: "sliders" }, el("label", { class: "field" }, el("span", { text: "Brush" }), this.brushInput, this.brushOutput), this.inkField)),
      (this.historyGroup = el("div", { class: "group" }, this.undoButton, this.redoButton, this.clearButton)),
      this.presets,
      this.status,
      el("details", { class: "keys" }, el("summary", { text: "Keys" }), this.keysText),
    );
    this.layout = el("div", { class: "layout" }, el("div", { class: "stage" }, this.surface), this.side);
    this.root = el("div", { class: "root", "data-testid": "canvas" }, this.layout, this.live);
    parent.append(this.root);
    this.cursor = [0, 0];
    this.later = new Later(() => this.commit());
    this.size = watchSize(this.root, () => this.resize());
    this.listen();
  }

  wake() {
    this.size.start();
  }

  sleep() {
    // A message sent while the component goes away would be lost: it is owed, and sent when the user comes back.
    this.owed ||= this.later.due;
    this.later.cancel();
    this.remember();
    this.size.stop();
  }

  update({ data, setStateValue }) {
    this.send = setStateValue;
    this.data = data;
    if (data.source !== this.source) this.reset();
    if (this.owed) this.later.start();
    this.owed = false;
    this.arrange();
    this.resize();
  }

  // A new input from Python (or a first mount, perhaps of something this page already knows).
  reset() {
    const { data } = this;
    const kept = MEMORY.get(data.key);
    this.source = data.source;
    this.pixels = offscreen(data.width, data.height);
    if (kept && kept.kind === "canvas" && kept.source === data.source && !this.started) {
      Object.assign(this, kept.state);
    } else {
      this.ink = fromBase64(data.image);
      this.known = unpackBits(fromBase64(data.known), data.width * data.height);
      this.picked = data.picked;
      Object.assign(this, { revision: 0, nonce: newNonce(), past: [], future: [], owed: false });
    }
    this.started = true;
    this.stroke = null;
    this.corner = null;
    this.later.cancel();
    this.cursor = this.picked ? [...this.picked] : [Math.floor(data.height / 2), Math.floor(data.width / 2)];
    const tools = this.tools();
    if (!tools.includes(this.tool)) this.tool = tools.includes(data.tool) ? data.tool : tools[0];
    this.brush ??= data.brush;
    this.inkValue ??= data.ink;
    this.remember();
  }

  remember() {
    const { ink, known, picked, revision, nonce, past, future, owed } = this;
    MEMORY.set(this.data.key, { kind: "canvas", source: this.source, state: { ink, known, picked, revision, nonce, past, future, owed } });
  }

  tools() {
    return this.data.readonly ? [] : MODE_TOOLS[this.data.mode];
  }

  // Shows the controls that the mode has.
  arrange() {
    const { data } = this;
    const tools = this.tools();
    for (const [name, node] of Object.entries(this.toolButtons)) node.hidden = !tools.includes(name);
    const editing = tools.length > 0;
    this.toolGroup.hidden = this.sliders.hidden = this.historyGroup.hidden = !editing;
    this.clearButton.hidden = !tools.includes("draw");
    this.inkField.hidden = !tools.includes("draw");
    this.presets.hidden = !tools.includes("hide") || !data.presets.length;
    this.side.hidden = data.readonly;
    this.layout.classList.toggle("bare", data.readonly);
    this.surface.classList.toggle("fixed", data.readonly);
    if (this.presetNames !== data.presets.join()) {
      this.presetNames = data.presets.join();
      this.presetGroup.replaceChildren(
        ...data.presets.map((name) => {
          const node = button(name[0].toUpperCase() + name.slice(1), { testid: `canvas-preset-${name.replaceAll(" ", "-")}`, onClick: () => this.preset(name) });
          node.prepend(presetGlyph(name));
          return node;
        }),
      );
    }
    const what = data.mode === "pick" ? "picks the pixel" : "paints; Shift + arrows paint on the way";
    const letters = tools.map((name) => `${TOOLS[name].key} ${TOOLS[name].label.toLowerCase()}`).join(", ");
    this.keysText.textContent = `Arrows move the cursor, Space ${what}.` + (editing ? ` ${letters}; [ and ] brush size; Ctrl+Z, Ctrl+Shift+Z undo, redo.` : "");
    this.surface.setAttribute("aria-label", `${data.label}: picture of ${data.height} by ${data.width} pixels. ${data.readonly ? "" : this.keysText.textContent}`);
    this.setBrush(this.brush);
    this.setInk(this.inkValue);
    this.choose(this.tool, false);
  }

  listen() {
    const { surface } = this;
    surface.addEventListener("contextmenu", (event) => event.preventDefault());
    surface.addEventListener("pointerdown", (event) => this.down(event));
    surface.addEventListener("pointermove", (event) => this.move(event));
    surface.addEventListener("pointerup", (event) => this.up(event));
    surface.addEventListener("pointercancel", () => this.abort());
    surface.addEventListener("pointerleave", () => {
      this.hover = null;
      this.draw();
    });
    surface.addEventListener("focus", () => this.draw());
    surface.addEventListener("blur", () => this.draw());
    // Streamlit has one-letter shortcuts of its own (R reruns, C clears the cache): ours stop here.
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  // --- pointer -------------------------------------------------------------------------------------------------------------------------

  at(event) {
    const box = this.surface.getBoundingClientRect();
    return [Math.floor(((event.clientY - box.top) / box.height) * this.data.height), Math.floor(((event.clientX - box.left) / box.width) * this.data.width)];
  }

  down(event) {
    if (this.data.readonly || this.stroke || (event.pointerType === "mouse" && event.button === 1)) return;
    this.later.flush();
    const cell = this.at(event);
    this.cursor = [clamp(cell[0], 0, this.data.height - 1), clamp(cell[1], 0, this.data.width - 1)];
    if (this.data.mode === "pick") return this.pick();
    this.surface.setPointerCapture(event.pointerId);
    // The other mouse button and the eraser end of a pen undo what the tool does.
    const inverse = event.button === 2 || (event.buttons & 32) !== 0;
    this.stroke = { id: event.pointerId, tool: inverse ? { draw: "erase", hide: "reveal", box: "unbox", erase: "draw", reveal: "hide" }[this.tool] : this.tool, before: this.snapshot(), start: cell, last: cell };
    if (!this.stroke.tool.endsWith("box")) this.stamp(this.stroke.tool, cell);
    this.draw();
  }

  move(event) {
    this.hover = this.at(event);
    if (this.stroke?.id === event.pointerId) {
      const samples = event.getCoalescedEvents?.() ?? [];
      for (const sample of samples.length ? samples : [event]) {
        const cell = this.at(sample);
        if (!this.stroke.tool.endsWith("box")) this.line(this.stroke.tool, this.stroke.last, cell);
        this.stroke.last = cell;
      }
    }
    this.draw();
  }

  up(event) {
    if (this.stroke?.id !== event.pointerId) return;
    const { tool, before, start, last } = this.stroke;
    this.stroke = null;
    if (tool.endsWith("box")) this.fillBox(start, last, tool === "box" ? 0 : 1);
    this.cursor = [clamp(last[0], 0, this.data.height - 1), clamp(last[1], 0, this.data.width - 1)];
    this.finish(before);
  }

  abort() {
    if (!this.stroke) return;
    this.restore(this.stroke.before);
    this.stroke = null;
    this.draw();
  }

  // --- keyboard ------------------------------------------------------------------------------------------------------------------------

  key(event) {
    const onSurface = event.composedPath()[0] === this.surface;
    const letter = event.key.toLowerCase();
    const command = event.ctrlKey || event.metaKey;
    let used = true;
    if (this.data.readonly) used = false;
    else if (command && letter === "z") event.shiftKey ? this.redo() : this.undo();
    else if (command && letter === "y") this.redo();
    else if (command || event.altKey) used = false;
    else if (onSurface && event.key in ARROWS) this.step(ARROWS[event.key], event.shiftKey);
    else if (onSurface && (event.key === " " || event.key === "Enter")) this.act();
    else if (onSurface && event.key === "Escape" && this.corner) this.corner = null;
    else if (onSurface && event.key === "Delete" && this.tools().includes("draw")) this.clear();
    else if (event.key === "[" || event.key === "]") this.setBrush(this.brush + (event.key === "]" ? 1 : -1));
    else used = this.tools().some((name) => TOOLS[name].key.toLowerCase() === letter && (this.choose(name), true));
    if (used) event.preventDefault();
    if (used || letter.length === 1) event.stopPropagation();
    this.draw();
  }

  step([down, right], painting) {
    const { height, width } = this.data;
    const from = this.cursor;
    this.cursor = [clamp(from[0] + down, 0, height - 1), clamp(from[1] + right, 0, width - 1)];
    this.hover = null;
    if (painting && this.tool && this.tool !== "box") {
      const before = this.snapshot();
      this.line(this.tool, from, this.cursor);
      this.finish(before, true);
    }
    this.tell();
  }

  act() {
    if (this.data.mode === "pick") return this.pick();
    const before = this.snapshot();
    if (this.tool === "box") {
      if (!this.corner) {
        this.corner = [...this.cursor];
        return this.say("First corner set; move and press Space for the other.");
      }
      this.fillBox(this.corner, this.cursor, 0);
      this.corner = null;
    } else {
      this.stamp(this.tool, this.cursor);
    }
    this.finish(before, true);
    this.tell();
  }

  tell() {
    const [row, column] = this.cursor;
    this.say(this.name(row, column));
  }

  say(text) {
    this.live.textContent = text;
  }

  name(row, column) {
    const what = this.describe(row, column);
    return `Row ${row}, column ${column}${what && ": " + what}`;
  }

  describe(row, column) {
    const { width, channels } = this.data;
    if (this.data.mode === "pick" && channels === 3) return ""; // a map: its colours are no values
    const values = [...this.ink.subarray((row * width + column) * channels, (row * width + column + 1) * channels)];
    return `${values.join(", ")}${this.known[row * width + column] ? "" : ", hidden"}`;
  }

  // --- editing -------------------------------------------------------------------------------------------------------------------------

  stamp(tool, [row, column]) {
    const { width, height, channels } = this.data;
    for (const [down, right] of footprint(this.brush)) {
      const [r, c] = [row + down, column + right];
      if (r < 0 || c < 0 || r >= height || c >= width) continue;
      const at = r * width + c;
      if (tool === "hide" || tool === "reveal") this.known[at] = tool === "reveal" ? 1 : 0;
      else this.ink.fill(tool === "draw" ? this.inkValue : 0, at * channels, (at + 1) * channels);
    }
  }

  line(tool, from, to) {
    const steps = Math.max(Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]), 1);
    for (let i = 0; i <= steps; i++) this.stamp(tool, [0, 1].map((k) => Math.round(from[k] + ((to[k] - from[k]) * i) / steps)));
  }

  fillBox(a, b, value) {
    const { width, height } = this.data;
    const [top, bottom] = [clamp(Math.min(a[0], b[0]), 0, height - 1), clamp(Math.max(a[0], b[0]), 0, height - 1)];
    const [left, right] = [clamp(Math.min(a[1], b[1]), 0, width - 1), clamp(Math.max(a[1], b[1]), 0, width - 1)];
    for (let row = top; row <= bottom; row++) this.known.fill(value, row * width + left, row * width + right + 1);
  }

  preset(name) {
    const { width, height } = this.data;
    const before = this.snapshot();
    const middle = (i, n) => i >= Math.floor(n / 4) && i < n - Math.floor(n / 4);
    const hides = {
      "lower half": (r) => r >= Math.floor(height / 2),
      "upper half": (r) => r < Math.floor(height / 2),
      "left half": (r, c) => c < Math.floor(width / 2),
      "right half": (r, c) => c >= Math.floor(width / 2),
      "centre square": (r, c) => middle(r, height) && middle(c, width),
      "nothing hidden": () => false,
    }[name];
    for (let i = 0; i < this.known.length; i++) this.known[i] = hides(Math.floor(i / width), i % width) ? 0 : 1;
    this.say(`Mask: ${name}`);
    this.finish(before);
  }

  clear() {
    const before = this.snapshot();
    this.ink.fill(0);
    this.say("Picture cleared");
    this.finish(before);
  }

  pick() {
    this.picked = [...this.cursor];
    this.revision += 1;
    this.tell();
    this.commit();
    this.draw();
  }

  snapshot() {
    return { ink: this.ink.slice(), known: this.known.slice() };
  }

  restore({ ink, known }) {
    this.ink = ink.slice();
    this.known = known.slice();
  }

  // Ends an edit: one undo step and one message to Python, if anything changed.
  finish(before, soon = false) {
    if (!same(before.ink, this.ink) || !same(before.known, this.known)) {
      this.past.push(before);
      if (this.past.length > UNDO_LIMIT) this.past.shift();
      this.future = [];
      this.revision += 1;
      soon ? this.later.start() : this.commit();
    }
    this.draw();
  }

  travel(from, to, word) {
    if (!from.length || this.stroke) return;
    to.push(this.snapshot());
    this.restore(from.pop());
    this.revision += 1;
    this.say(word);
    this.commit();
    this.draw();
  }

  undo() {
    this.travel(this.past, this.future, "Undone");
  }

  redo() {
    this.travel(this.future, this.past, "Redone");
  }

  commit() {
    this.later.cancel();
    this.remember();
    this.send("value", { source: this.source, nonce: this.nonce, revision: this.revision, image: toBase64(this.ink), known: toBase64(packBits(this.known)), picked: this.picked });
  }

  choose(name, aloud = true) {
    this.tool = name;
    this.corner = null;
    for (const [other, node] of Object.entries(this.toolButtons)) press(node, other === name);
    if (aloud && name) this.say(`${TOOLS[name].label} tool`);
    this.draw();
  }

  setBrush(size) {
    this.brush = clamp(size, 1, 9);
    this.brushInput.value = this.brush;
    this.brushOutput.textContent = this.brush;
  }

  setInk(value) {
    this.inkValue = clamp(value, 0, 255);
    this.inkInput.value = this.inkValue;
    this.inkOutput.textContent = this.inkValue;
    this.swatch.style.background = `rgb(${this.inkValue} ${this.inkValue} ${this.inkValue})`;
  }
}

Object.assign(Editor.prototype, editorView);

export default (component) => mountOnce(component, (parent) => new Editor(parent));
