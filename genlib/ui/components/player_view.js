// How the player looks: frames cut from sprite sheets, overlays in their own resolution, charts with a cursor, and the composed export.

const CHART_HEIGHT = 96;
const SERIES_COLOUR = { dark: "#56b4e9", light: "#0072b2" };
const CURSOR_COLOUR = "#e69f00";

const playerView = {
  // Panels and charts are rebuilt only when their number or names change.
  build() {
    const shape = JSON.stringify([this.data.panels.map((p) => [p.kind, p.title, p.scale, Boolean(p.notes)]), this.data.series.map((s) => s.name)]);
    if (shape === this.shape) return;
    this.shape = shape;
    this.panelCanvases = this.data.panels.map((panel, i) => el("canvas", { role: "img", "data-testid": `player-panel-${i}` }));
    const heading = (panel) => (panel.title ? el("figcaption", {}, el("span", { text: panel.title }), panel.scale ? scaleView(panel.scale) : null) : null);
    this.panelNotes = this.data.panels.map((panel, i) => (panel.notes ? el("div", { class: "note", "data-testid": `player-note-${i}` }) : null));
    this.panelsBox.replaceChildren(...this.data.panels.map((panel, i) => el("figure", { class: "panel" }, heading(panel), this.panelCanvases[i], this.panelNotes[i])));
    this.panelsBox.classList.toggle("noted", this.panelNotes.some(Boolean));
    this.data.panels.forEach((panel, i) => panel.kind === "reveal" && this.seekInPicture(this.panelCanvases[i], i));
    this.seriesViews = this.data.series.map((series, i) => {
      const canvas = el("canvas", { "data-testid": `player-chart-${i}`, role: "img", "aria-label": `Chart of ${series.name} by step` });
      const value = el("span");
      this.seekOn(canvas, i);
      return { canvas, value, box: el("div", { class: "chart" }, el("div", { class: "title" }, el("span", { text: series.name }), value), canvas) };
    });
    this.charts.replaceChildren(...this.seriesViews.map((view) => view.box));
    this.charts.hidden = !this.seriesViews.length;
  },

  // A press or a drag on a chart moves every panel.
  seekOn(canvas) {
    const seek = (event) => {
      const box = canvas.getBoundingClientRect();
      this.pause(false);
      this.go(Math.floor(((event.clientX - box.left) / box.width) * this.total));
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      seek(event);
    });
    canvas.addEventListener("pointermove", (event) => canvas.hasPointerCapture(event.pointerId) && seek(event));
    canvas.addEventListener("pointerup", () => this.commit());
  },

  resize() {
    const available = this.root.clientWidth;
    if (!available || !this.data) return;
    const { panels } = this.data;
    const height = fitWindow(this.data.height, 0.4, 200);
    const gap = panels.some((panel) => panel.notes) ? 10 : 18; // as in player.css
    const gaps = gap * (panels.length - 1) + 4;
    // One row if every panel keeps at least 100 pixels, else they wrap.
    const shared = (available - gaps) / panels.reduce((sum, p) => sum + p.width / p.height, 0);
    const tall = shared >= 100 ? Math.min(height, shared) : Math.min(height, available - 4);
    this.sizes = panels.map((panel) => {
      const fit = Math.min(tall / panel.height, (available - 4) / panel.width);
      // Whole multiples keep small pictures even; for large ones the loss of size would be worse.
      const scale = fit >= 3 ? Math.floor(fit) : fit;
      return { width: panel.width * scale, height: panel.height * scale, scale };
    });
    // With notes, titles and pictures of a row lie on common lines, whatever wraps.
    this.panelsBox.style.gridTemplateColumns = `repeat(auto-fill, ${Math.max(...this.sizes.map((size) => size.width))}px)`;
    // Charts take what is left of the row, up to twice their own width.
    const left = available - gaps - this.sizes.reduce((sum, size) => sum + size.width, 0);
    const charts = this.sizes.filter((_, i) => panels[i].kind === "bars");
    if (left > 0) for (const size of charts) size.width += Math.min(size.width, Math.floor(left / charts.length));
    const columns = Math.max(1, Math.min(this.data.series.length, Math.floor((available + 14) / 274)));
    this.chartWidth = Math.floor((available - 14 * (columns - 1)) / columns);
  },

  draw() {
    if (!this.sizes || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  },

  paint() {
    const { data } = this;
    data.panels.forEach((panel, i) => {
      const { width, height, scale } = this.sizes[i];
      const canvas = this.panelCanvases[i];
      this.paintPanel(fitCanvas(canvas, width, height), panel, this.step, 0, 0, scale, width);
      if (panel.notes) this.panelNotes[i].textContent = panel.notes[this.step];
      canvas.setAttribute("aria-label", `${panel.title || "Picture"}, step ${this.step + 1} of ${this.total}`);
    });
    this.caption.textContent = this.captionText();
    this.caption.hidden = !data.captions;
    data.series.forEach((series, i) => this.paintChart(series, this.seriesViews[i]));
    this.scrub.value = this.step;
    this.scrub.setAttribute("aria-valuetext", `Step ${this.step + 1} of ${this.total}`);
    this.count.textContent = `${this.step + 1} / ${this.total}`;
    press(this.followButton, this.following);
    const marks = { step: this.step, frames: this.total, playing: Boolean(this.timer), following: this.following };
    for (const [name, value] of Object.entries(marks)) this.root.dataset[name] = value;
  },

  // A frame on its sprite sheet, and where.
  sheetFrame(panel, step) {
    const place = step % panel.per_sheet;
    const sheet = this.pictures.get(panel.sheets[Math.floor(step / panel.per_sheet)].id);
    return [sheet, (place % panel.columns) * panel.width, Math.floor(place / panel.columns) * panel.height];
  },

  // A frame of those that came as bare bytes, grey or RGB. Only what is shown is unpacked.
  bareFrame({ bare, count, channels, width, height }, step) {
    const size = width * height * channels;
    const bytes = bytesOf(bare, Math.min(step, count - 1) * size, size);
    const image = new ImageData(width, height);
    const colours = new Uint32Array(image.data.buffer); // alpha, blue, green, red from the highest byte down
    for (let i = 0, j = 0; i < colours.length; i++, j += channels) {
      const [red, green, blue] = channels === 1 ? [bytes[j], bytes[j], bytes[j]] : [bytes[j], bytes[j + 1], bytes[j + 2]];
      colours[i] = 0xff000000 | (blue << 16) | (green << 8) | red;
    }
    const canvas = offscreen(width, height);
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  },

  // One frame with its overlays, its top left corner at (x, y).
  paintPanel(context, panel, step, x, y, scale, across = panel.width * scale) {
    if (panel.kind === "reveal") return this.paintReveal(context, panel, step, x, y, across, panel.height * scale);
    if (panel.kind === "bars") return this.paintBars(context, panel, step, x, y, across, panel.height * scale);
    const { width, height } = panel;
    const [source, left, top] = panel.bare ? [this.bareFrame(panel, step), 0, 0] : this.sheetFrame(panel, step);
    context.imageSmoothingEnabled = false;
    context.drawImage(source, left, top, width, height, x, y, width * scale, height * scale);
    context.save();
    context.beginPath();
    context.rect(x, y, width * scale, height * scale);
    context.clip();
    // Coordinates are pixel centres: 0 is the middle of the first pixel.
    const at = (v) => (v + 0.5) * scale;
    for (const [cx, cy, w, h, line, colour] of panel.boxes?.[step] ?? []) {
      const box = [x + at(cx - w / 2), y + at(cy - h / 2), w * scale, h * scale];
      for (const [stroke, extra] of [["#000000", 2.5], [colour, 0]]) {
        context.strokeStyle = stroke;
        context.lineWidth = line + extra;
        context.strokeRect(...box);
      }
    }
    for (const [dx, dy] of panel.dots?.[step] ?? []) {
      context.fillStyle = panel.dot_colour;
      context.strokeStyle = "#000000";
      context.lineWidth = 1;
      context.beginPath();
      context.arc(x + at(dx), y + at(dy), clamp(scale / 4, 2, 5), 0, 7);
      context.fill();
      context.stroke();
    }
    context.restore();
  },

  paintChart({ values, kind, unit }, { canvas, value }) {
    const { theme, chartWidth: width } = this;
    const context = fitCanvas(canvas, width, CHART_HEIGHT);
    context.clearRect(0, 0, width, CHART_HEIGHT);
    const real = values.filter((v) => v !== null);
    const [top, low] = [Math.max(...real, kind === "bar" ? 0 : -Infinity), Math.min(...real, kind === "bar" ? 0 : Infinity)];
    const span = top - low || 1;
    const y = (v) => 6 + (1 - (v - low) / span) * (CHART_HEIGHT - 12);
    const slot = width / this.total;
    const colour = theme.dark ? SERIES_COLOUR.dark : SERIES_COLOUR.light;
    context.fillStyle = theme.panel;
    context.fillRect(0, 0, width, CHART_HEIGHT);
    if (kind === "bar") {
      const gap = slot > 4 ? Math.min(4, slot * 0.2) : 0;
      values.forEach((v, i) => {
        if (v === null) return;
        context.fillStyle = i === this.step ? CURSOR_COLOUR : colour;
        context.globalAlpha = i > this.step ? 0.4 : 1;
        context.fillRect(i * slot + gap / 2, Math.min(y(v), y(0)), Math.max(slot - gap, 1), Math.max(1.5, Math.abs(y(v) - y(0))));
      });
      context.globalAlpha = 1;
    } else {
      context.strokeStyle = colour;
      context.lineWidth = 2.5;
      context.lineJoin = "round";
      context.beginPath();
      let pen = false;
      values.forEach((v, i) => {
        if (v !== null) context[pen ? "lineTo" : "moveTo"]((i + 0.5) * slot, y(v));
        pen = v !== null;
      });
      context.stroke();
    }
    const x = (this.step + 0.5) * slot;
    const now = values[this.step];
    if (kind === "line") {
      context.strokeStyle = theme.text;
      context.lineWidth = 1.5;
      context.setLineDash([4, 4]);
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, CHART_HEIGHT);
      context.stroke();
      context.setLineDash([]);
    }
    if (kind === "line" && now !== null) {
      context.fillStyle = CURSOR_COLOUR;
      context.strokeStyle = "#000000";
      context.beginPath();
      context.arc(x, y(now), 6, 0, 7);
      context.fill();
      context.stroke();
    }
    const plain = (v) => v === 0 || (Math.abs(v) >= 0.01 && Math.abs(v) < 1e6);
    const number = (v) => (plain(v) ? v.toFixed(Math.abs(v) < 1000 ? 2 : 0) : v.toPrecision(3)).replace("-", "−");
    value.textContent = now === null ? "–" : `${number(now)}${unit ? ` ${unit}` : ""}`;
  },

  // All panels side by side with their titles, as a canvas at most `limit` pixels wide and high; what PNG and GIF hold.
  compose(step, limit) {
    const { panels } = this.data;
    const [gap, title] = [16, panels.some((p) => p.title) ? 30 : 0];
    const tallest = Math.max(...panels.map((p) => p.height));
    const across = (limit - gap * (panels.length + 1)) / panels.reduce((sum, p) => sum + (p.width * tallest) / p.height, 0);
    const fit = Math.min(across, (limit - 2 * gap - title) / tallest, 12);
    const height = Math.max(1, Math.round((fit >= 3 ? Math.floor(fit) : fit) * tallest));
    const widths = panels.map((p) => Math.round((p.width * height) / p.height));
    const canvas = offscreen(widths.reduce((sum, w) => sum + w, gap * (panels.length + 1)), height + 2 * gap + title);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = this.theme.background;
    context.fillRect(0, 0, canvas.width, canvas.height);
    let x = gap;
    panels.forEach((panel, i) => {
      context.fillStyle = this.theme.text;
      context.font = `600 18px ${this.theme.font}`;
      context.textBaseline = "middle";
      context.fillText(panel.title, x, gap + 10, widths[i]);
      this.paintPanel(context, panel, step, x, gap + title, height / panel.height);
      x += widths[i] + gap;
    });
    return canvas;
  },
};
