// How the editor looks: the picture, the hatched mask, the grid and the cursor. Kept apart from what it does (canvas.js).

function unpackBits(bytes, count) {
  const bits = new Uint8Array(count);
  for (let i = 0; i < count; i++) bits[i] = (bytes[i >> 3] >> (7 - (i & 7))) & 1;
  return bits;
}

function packBits(bits) {
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  for (let i = 0; i < bits.length; i++) bytes[i >> 3] |= bits[i] << (7 - (i & 7));
  return bytes;
}

const same = (a, b) => a.every((value, i) => value === b[i]);

// The pixels a brush of `size` covers around its cell: a disc, snapped; 1, 4, 9, 12, 21 ... pixels.
function footprint(size) {
  const cells = [];
  const low = -Math.floor((size - 1) / 2);
  const middle = low + (size - 1) / 2;
  for (let r = low; r < low + size; r++) {
    for (let c = low; c < low + size; c++) {
      if (Math.hypot(r - middle, c - middle) <= size / 2) cells.push([r, c]);
    }
  }
  return cells;
}

// A tiny picture of a preset mask; insets from top, right, bottom, left.
function presetGlyph(name) {
  const insets = { "lower half": "50% 0 0 0", "upper half": "0 0 50% 0", "left half": "0 50% 0 0", "right half": "0 0 0 50%", "centre square": "25%" }[name];
  const glyph = el("span", { class: "glyph", "aria-hidden": "true" }, insets ? el("i") : null);
  if (insets) glyph.firstChild.style.inset = insets;
  return glyph;
}

const MASK_TINT = "#0072b2";

const editorView = {
  resize() {
    if (!this.data) return;
    const available = this.root.clientWidth;
    if (!available) return;
    // Beside the picture the controls need 300 pixels; below 620 they go underneath (the same number stands in canvas.css).
    const beside = !this.data.readonly && available > 620 ? available - 322 : available;
    const longest = Math.max(this.data.width, this.data.height);
    const fit = Math.min(beside - 4, fitWindow(this.data.size, 0.62, 280)) / longest;
    const scale = fit >= 2 ? Math.floor(fit) : fit; // whole screen pixels per picture pixel, or the grid looks uneven
    if (scale !== this.scale) this.scale = scale;
    this.draw();
  },

  // At most one drawing a screen refresh, however many events arrive.
  draw() {
    if (!this.scale || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  },

  paint() {
    const { data, scale } = this;
    const { width, height, channels } = data;
    const image = this.pixels.getContext("2d").createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = this.ink[i * channels + (channels === 3 ? c : 0)];
      image.data[4 * i + 3] = 255;
    }
    this.pixels.getContext("2d").putImageData(image, 0, 0);
    const context = fitCanvas(this.surface, width * scale, height * scale);
    context.drawImage(this.pixels, 0, 0, width * scale, height * scale);
    this.paintMask(context);
    if (data.grid && scale >= 8) this.paintGrid(context);
    this.paintCursor(context);
    this.report();
  },

  paintMask(context) {
    const { data, scale, known } = this;
    const { width, height } = data;
    const shade = new Path2D();
    const edge = new Path2D();
    let any = false;
    const hidden = (r, c) => r >= 0 && c >= 0 && r < height && c < width && !known[r * width + c];
    for (let r = 0; r < height; r++) {
      for (let c = 0; c < width; c++) {
        if (!hidden(r, c)) continue;
        any = true;
        shade.rect(c * scale, r * scale, scale, scale);
        const [x, y] = [c * scale, r * scale];
        const side = (open, x1, y1, x2, y2) => open && (edge.moveTo(x1, y1), edge.lineTo(x2, y2));
        side(!hidden(r - 1, c), x, y, x + scale, y);
        side(!hidden(r + 1, c), x, y + scale, x + scale, y + scale);
        side(!hidden(r, c - 1), x, y, x, y + scale);
        side(!hidden(r, c + 1), x + scale, y, x + scale, y + scale);
      }
    }
    if (!any) return;
    const [w, h] = [width * scale, height * scale];
    context.save();
    context.globalAlpha = 0.62;
    context.fillStyle = MASK_TINT;
    context.fill(shade);
    context.globalAlpha = 1;
    context.save();
    context.clip(shade);
    context.strokeStyle = "rgb(255 255 255 / 0.5)";
    context.lineWidth = 1.5;
    context.beginPath();
    const gap = Math.max(9, Math.round(scale * 0.75));
    for (let x = -h; x < w; x += gap) {
      context.moveTo(x, h);
      context.lineTo(x + h, 0);
    }
    context.stroke();
    context.restore();
    context.strokeStyle = "#ffffff";
    context.lineWidth = 2;
    context.stroke(edge);
    context.restore();
  },

  paintGrid(context) {
    const { width, height } = this.data;
    const { scale } = this;
    context.strokeStyle = "rgb(128 128 128 / 0.28)";
    context.lineWidth = 1;
    context.beginPath();
    for (let c = 1; c < width; c++) {
      context.moveTo(c * scale - 0.5, 0);
      context.lineTo(c * scale - 0.5, height * scale);
    }
    for (let r = 1; r < height; r++) {
      context.moveTo(0, r * scale - 0.5);
      context.lineTo(width * scale, r * scale - 0.5);
    }
    context.stroke();
  },

  // Two-tone outlines: visible on black, on white and on the mask.
  outline(context, x, y, w, h, colour = "#ffffff") {
    context.lineWidth = 4;
    context.strokeStyle = "#000000";
    context.strokeRect(x, y, w, h);
    context.lineWidth = 2;
    context.strokeStyle = colour;
    context.strokeRect(x, y, w, h);
  },

  paintCursor(context) {
    const { data, scale } = this;
    const focused = this.root.getRootNode().activeElement === this.surface && this.surface.matches(":focus-visible");
    if (this.picked && data.mode === "pick") this.outline(context, this.picked[1] * scale, this.picked[0] * scale, scale, scale, "#e69f00");
    if (data.readonly) return;
    const boxStart = this.stroke?.tool.endsWith("box") ? this.stroke.start : this.corner;
    const cell = this.stroke ? this.stroke.last : (this.hover ?? (focused ? this.cursor : null));
    if (boxStart) {
      const end = this.stroke ? this.stroke.last : (this.hover ?? this.cursor);
      const [top, left] = [Math.min(boxStart[0], end[0]), Math.min(boxStart[1], end[1])];
      const size = [Math.abs(boxStart[0] - end[0]) + 1, Math.abs(boxStart[1] - end[1]) + 1];
      context.fillStyle = "rgb(0 114 178 / 0.45)";
      context.fillRect(left * scale, top * scale, size[1] * scale, size[0] * scale);
      this.outline(context, left * scale, top * scale, size[1] * scale, size[0] * scale, "#e69f00");
    } else if (cell) {
      const single = data.mode === "pick" || this.tool === "box" || this.brush === 1;
      const low = single ? 0 : -Math.floor((this.brush - 1) / 2);
      const side = (single ? 1 : this.brush) * scale;
      this.outline(context, (cell[1] + low) * scale, (cell[0] + low) * scale, side, side, "#e69f00");
    }
  },

  // The line under the tools, the buttons' state, and what tests read.
  report() {
    const { data } = this;
    const cell = this.hover ?? this.cursor;
    const inside = cell[0] >= 0 && cell[1] >= 0 && cell[0] < data.height && cell[1] < data.width;
    const missing = this.known.reduce((sum, value) => sum + 1 - value, 0);
    const where = inside ? this.name(...cell) : "";
    this.status.textContent = [where, missing && data.mode !== "draw" ? `${missing} pixels hidden` : ""].filter(Boolean).join(" · ");
    this.undoButton.disabled = !this.past.length;
    this.redoButton.disabled = !this.future.length;
    const marks = { revision: this.revision, tool: this.tool ?? "", cursor: this.cursor.join(), picked: this.picked ? this.picked.join() : "", hidden: missing, brush: this.brush };
    for (const [name, value] of Object.entries(marks)) this.root.dataset[name] = value;
  },
};
