// Panels whose frames are made here, from one picture (`reveal`) or one table (`bars`); see player_panels.py. Mixed into the player.

const HATCH = 7; // CSS pixels between two lines of the hatching
const MARK_COLOUR = "#e69f00";

const playerPanels = {
  // What a panel's data say, unpacked once: pixels, orders and tables as typed arrays, by panel.
  unpack(panel) {
    this.unpacked ??= new WeakMap();
    let found = this.unpacked.get(panel);
    if (!found) {
      found = panel.kind === "reveal" ? this.unpackReveal(panel) : this.unpackBars(panel);
      this.unpacked.set(panel, found);
    }
    return found;
  },

  fillCaption(captions, step) {
    this.columns ??= new WeakMap();
    let columns = this.columns.get(captions);
    if (!columns) {
      columns = captions.columns.map(unpackColumn);
      this.columns.set(captions, columns);
    }
    return captions.text.replace(/\{(\d+)\}/g, (_, column) => columns[column](step));
  },

  sheetPixels({ id }) {
    const picture = this.pictures.get(id);
    const context = offscreen(picture.width, picture.height).getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    return context.getImageData(0, 0, picture.width, picture.height).data;
  },

  unpackReveal(panel) {
    const { cells, height, channels } = panel;
    const order = new Uint16Array(fromBase64(panel.order).buffer);
    const each = channels === 3 ? 3 : 1;
    const first = new Uint16Array(cells * height); // when a cell begins to show, and when it is whole
    const last = new Uint16Array(cells * height);
    const at = new Map(); // step -> cells that appear then
    for (let i = 0; i < first.length; i++) {
      const ranks = order.subarray(i * each, (i + 1) * each);
      [first[i], last[i]] = [Math.min(...ranks), Math.max(...ranks)];
      for (const rank of ranks) at.set(rank, [...(at.get(rank) ?? []), i]);
    }
    const shown = offscreen(cells, height);
    return { order, each, first, last, at, pixels: this.sheetPixels(panel.sheets[0]), shown, image: new ImageData(cells, height) };
  },

  unpackBars(panel) {
    const table = (sheet, tops) => {
      const pixels = this.sheetPixels(sheet);
      const top = new Float32Array(fromBase64(tops).buffer);
      return { top, height: (step, level) => ((256 * pixels[4 * (step * panel.levels + level)] + pixels[4 * (step * panel.levels + level) + 1]) / 65535) * top[step] };
    };
    return {
      tables: panel.sheets.map((sheet, i) => table(sheet, panel.tops[i])),
      chosen: fromBase64(panel.chosen),
      inks: fromBase64(panel.inks),
    };
  },

  // The picture as far as it has come, hatched where it has not; a frame around what this step added.
  paintReveal(context, panel, step, x, y, width, height) {
    const { order, each, first, at, pixels, shown, image } = this.unpack(panel);
    const { data } = image;
    for (let i = 0; i < first.length; i++) {
      const to = 4 * i;
      data[to + 3] = first[i] <= step ? 255 : 0;
      for (let c = 0; c < 3; c++) data[to + c] = each === 3 && order[to - i + c] > step ? 0 : pixels[to + c];
    }
    shown.getContext("2d").putImageData(image, 0, 0);
    this.hatch(context, x, y, width, height);
    context.imageSmoothingEnabled = false;
    context.drawImage(shown, x, y, width, height);
    const [w, h] = [width / panel.cells, height / panel.height];
    context.save();
    context.beginPath();
    context.rect(x, y, width, height);
    context.clip();
    for (const i of at.get(step) ?? []) {
      const box = [x + (i % panel.cells) * w - 1, y + Math.floor(i / panel.cells) * h - 1, w + 2, h + 2];
      for (const [stroke, line] of [["#000000", 5.5], [MARK_COLOUR, 3]]) {
        context.strokeStyle = stroke;
        context.lineWidth = line;
        context.strokeRect(...box);
      }
    }
    context.restore();
  },

  hatch(context, x, y, width, height) {
    context.save();
    context.beginPath();
    context.rect(x, y, width, height);
    context.clip();
    context.fillStyle = this.theme.panel;
    context.fillRect(x, y, width, height);
    context.strokeStyle = this.theme.text;
    context.globalAlpha = 0.22;
    context.lineWidth = 1;
    context.beginPath();
    for (let d = 0; d < width + height; d += HATCH) {
      context.moveTo(x + d, y);
      context.lineTo(x + d - height, y + height);
    }
    context.stroke();
    context.restore();
  },

  paintBars(context, panel, step, x, y, width, height) {
    const { tables, chosen, inks } = this.unpack(panel);
    const { theme } = this;
    const { levels } = panel;
    const few = levels <= 4;
    const colour = panel.colours[inks[step]];
    const type = clamp(Math.round(height / 17), 11, 20);
    context.save();
    context.fillStyle = theme.panel;
    context.fillRect(x, y, width, height);
    context.font = `600 ${type}px ${theme.font}`;
    context.textBaseline = "alphabetic";
    const legend = tables.length > 1 ? 2.1 * type : 0.5 * type;
    const [left, right, base, roof] = [x + 0.6 * type, x + width - 0.6 * type, y + height - 2.6 * type, y + legend + 1.5 * type];
    const top = few ? 1 : Math.max(...tables.map((table) => table.top[step])) || 1;
    const slot = (right - left) / levels;
    const gap = levels <= 32 ? slot * 0.22 : 0;
    const rise = (value) => (value / top) * (base - roof);
    const middle = (level) => left + (level + 0.5) * slot;
    // A bar: solid for the value that was chosen, paler for the others.
    for (let level = 0; level < levels; level++) {
      const tall = Math.max(rise(tables[0].height(step, level)), 1);
      context.fillStyle = colour;
      context.globalAlpha = level === chosen[step] ? 1 : 0.5;
      context.fillRect(left + level * slot + gap / 2, base - tall, Math.max(slot - gap, 0.75), tall);
    }
    context.globalAlpha = 1;
    if (tables.length > 1) this.paintOutline(context, tables[1], { step, levels, left, base, slot, gap, rise });
    context.fillStyle = theme.text;
    context.textAlign = "center";
    const percent = (value) => (value < 0.01 && value > 0 ? "< 1 %" : value > 0.99 && value < 1 ? "> 99 %" : `${Math.round(100 * value)} %`);
    if (few) {
      for (let level = 0; level < levels; level++) {
        const value = tables[0].height(step, level);
        const above = Math.max(value, tables[1]?.height(step, level) ?? 0);
        context.fillText(percent(value), middle(level), base - rise(above) - 0.45 * type);
      }
    } else {
      context.textAlign = "left";
      context.fillText(percent(top), left, roof - 0.4 * type);
      context.globalAlpha = 0.35;
      context.fillRect(left, roof, right - left, 1);
      context.globalAlpha = 1;
    }
    context.fillRect(left, base, right - left, 1.5);
    this.paintTicks(context, panel, { chosen: chosen[step], middle, base, type, left, right });
    if (tables.length > 1) this.paintBarLegend(context, panel.names, colour, left, y + 1.35 * type, type);
    context.restore();
  },

  paintOutline(context, table, { step, levels, left, base, slot, gap, rise }) {
    context.strokeStyle = this.theme.text;
    context.lineWidth = 1.75;
    context.beginPath();
    for (let level = 0; level < levels; level++) {
      const [a, b, top] = [left + level * slot + gap / 2, left + (level + 1) * slot - gap / 2, base - rise(table.height(step, level))];
      gap || !level ? context.moveTo(a, base) : context.lineTo(a, top);
      context.lineTo(a, top);
      context.lineTo(b, top);
      if (gap || level === levels - 1) context.lineTo(b, base);
    }
    context.stroke();
  },

  // Words under the bars, and a mark under the chosen one.
  paintTicks(context, panel, { chosen, middle, base, type, left, right }) {
    context.textAlign = "center";
    const at = clamp(middle(chosen), left + 0.4 * type, right - 0.4 * type);
    context.fillStyle = MARK_COLOUR;
    context.beginPath();
    context.moveTo(middle(chosen), base + 3);
    context.lineTo(at - 0.55 * type, base + 0.85 * type);
    context.lineTo(at + 0.55 * type, base + 0.85 * type);
    context.fill();
    context.fillStyle = this.theme.text;
    const own = panel.ticks.findIndex(([level]) => level === chosen);
    const widest = Math.max(...panel.ticks.map(([, text]) => context.measureText(text).width));
    const every = panel.ticks.length < 2 ? 1 : Math.ceil((widest + 0.3 * type) / (middle(panel.ticks[1][0]) - middle(panel.ticks[0][0])));
    panel.ticks.forEach(([level, text], i) => {
      // Where words would touch, every second one is left out, and those beside the chosen one.
      if (i !== own && (i % every || (own >= 0 && Math.abs(i - own) < every))) return;
      context.globalAlpha = own < 0 || i === own ? 1 : 0.75;
      const half = context.measureText(text).width / 2;
      context.fillText(text, clamp(middle(level), left + half, right - half), base + 2.05 * type);
    });
    context.globalAlpha = 1;
  },

  paintBarLegend(context, [filled, outlined], colour, left, y, type) {
    context.textAlign = "left";
    context.fillStyle = colour;
    context.fillRect(left, y - 0.75 * type, 0.8 * type, 0.8 * type);
    context.fillStyle = this.theme.text;
    context.fillText(filled, left + 1.2 * type, y);
    const next = left + 2.2 * type + context.measureText(filled).width;
    context.strokeStyle = this.theme.text;
    context.lineWidth = 1.75;
    context.strokeRect(next, y - 0.75 * type, 0.8 * type, 0.8 * type);
    context.fillText(outlined, next + 1.2 * type, y);
  },

  // A press or a drag on a revealed picture goes to the step at which that cell was whole.
  seekInPicture(canvas, index) {
    const seek = (event) => {
      const panel = this.data.panels[index];
      const box = canvas.getBoundingClientRect();
      const column = clamp(Math.floor(((event.clientX - box.left) / box.width) * panel.cells), 0, panel.cells - 1);
      const row = clamp(Math.floor(((event.clientY - box.top) / box.height) * panel.height), 0, panel.height - 1);
      this.pause(false);
      const step = this.unpack(panel).last[row * panel.cells + column];
      if (step < this.total) this.go(step); // else it is no part of the picture
    };
    canvas.classList.add("seek");
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      seek(event);
    });
    canvas.addEventListener("pointermove", (event) => canvas.hasPointerCapture(event.pointerId) && seek(event));
    canvas.addEventListener("pointerup", () => this.commit());
  },
};

const unpackFloats = (text) => new Float32Array(fromBase64(text).buffer);

// A long series comes as floats; where it has a gap it is null, as in a short one.
const unpackSeries = (series) => (series.floats ? { ...series, values: Array.from(unpackFloats(series.floats), (v) => (Number.isFinite(v) ? v : null)) } : series);

// A column of a caption as a function of the step.
function unpackColumn({ words, bytes, shorts, floats }) {
  if (floats) {
    const values = unpackFloats(floats);
    return (step) => (Math.abs(values[step]) >= 100 ? values[step].toFixed(0) : Number(values[step].toPrecision(3)));
  }
  const numbers = bytes ? fromBase64(bytes) : new Uint16Array(fromBase64(shorts).buffer);
  return (step) => (words ? words[numbers[step]] : numbers[step]);
}

// A colour scale beside a title.
function scaleView({ colours, low, high }) {
  const bar = el("i", { style: `background: linear-gradient(to right, ${colours.join(", ")})` });
  return el("span", { class: "scale" }, el("span", { text: low }), bar, el("span", { text: high }));
}
