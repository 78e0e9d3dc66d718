// How the pad looks, and the blend of atlas tiles that stands in for the decoder while the pointer moves.

// Okabe and Ito's palette without its black, extended by three that stay apart from it in lightness; for dark pages the same hues, lighter.
const CLASS_COLOURS = {
  light: ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#d6c700", "#8c6bb1", "#8a8a8a", "#8c510a"],
  dark: ["#4f83ff", "#ffb000", "#1fc198", "#ff6f3c", "#e38fbf", "#7fd0ff", "#f0e442", "#b79bff", "#b4b4b4", "#c08a4a"],
};
const MARGIN = { left: 40, bottom: 30, top: 8, right: 8 };
const NEIGHBOURS = 15;
const FACTS = 168; // width of the facts beside the picture, and their gap

function median(values) {
  values.sort((a, b) => a - b);
  return values[values.length >> 1];
}

// A class's label stands at its median: the mean of a bent cloud may lie outside it.
function classCentres(points, classes, count) {
  return Array.from({ length: count }, (_, index) => {
    const [xs, ys] = [[], []];
    for (let i = 0; i < classes.length; i++) {
      if (classes[i] !== index) continue;
      xs.push(points[2 * i]);
      ys.push(points[2 * i + 1]);
    }
    return xs.length ? [median(xs), median(ys)] : null;
  });
}

const isGrey = (texels) => texels.every((value, i) => i % 4 === 3 || value === texels[i - (i % 4)]);

function negativeOf(sheet) {
  const canvas = offscreen(sheet.width, sheet.height);
  const context = canvas.getContext("2d");
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "difference";
  context.drawImage(sheet, 0, 0);
  return canvas;
}

const padView = {
  // Positions on the plane in CSS pixels. The view is half a tile wider than the extent, so that a tile is centred on its code.
  range() {
    return this.data.extent * (1 + 1 / (this.data.grid - 1));
  },
  toX(x) {
    return MARGIN.left + ((x / this.range() + 1) / 2) * this.span;
  },
  toY(y) {
    return MARGIN.top + ((1 - y / this.range()) / 2) * this.span;
  },
  codeAt(x, y) {
    const r = this.range();
    return this.inside([(((x - MARGIN.left) / this.span) * 2 - 1) * r, (1 - ((y - MARGIN.top) / this.span) * 2) * r]);
  },
  colour(index) {
    return CLASS_COLOURS[this.theme.dark ? "dark" : "light"][index];
  },
  localPosition(event) {
    const box = this.plane.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  },

  resize() {
    const available = this.root.clientWidth;
    if (!available || !this.data) return;
    // The same 840 stands in latent_pad.css: below it the picture goes under the plane; the legend needs its width.
    const beside = available > 840;
    const whole = Math.min(fitWindow(this.data.size, 0.64, 340), beside ? available * 0.54 : available);
    const side = Math.floor(whole - MARGIN.left - MARGIN.right);
    if (side !== this.span) this.base = null;
    this.span = side;
    this.sideWidth = beside ? available - whole - 24 : available;
    this.stripWidth = Math.min(available - 130, beside ? 1100 : available);
    this.draw();
  },

  draw() {
    if (!this.span || this.frame) return;
    this.frame = requestAnimationFrame((now) => {
      this.frame = 0;
      if (this.playing) this.advance(now);
      this.paint();
      if (this.playing) this.draw();
    });
  },

  paint() {
    this.paintPlane();
    if (this.texels) {
      this.paintPicture();
      if (this.data.path) this.paintStrip();
    }
    this.report();
  },

  // The picture at code z: the bilinear blend of the four tiles around it. Row 0 of the atlas is y = +extent.
  blend(z) {
    const { grid, tileWidth: w, tileHeight: h, texels } = this;
    const stride = this.sheet.width;
    const cell = (t) => {
      const at = clamp(((t / this.data.extent + 1) / 2) * (grid - 1), 0, grid - 1);
      const low = Math.min(Math.floor(at), grid - 2);
      return [low, at - low];
    };
    const [column, fx] = cell(z[0]);
    const [row, fy] = cell(-z[1]);
    const weights = [(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy];
    const image = new ImageData(w, h);
    for (let r = 0; r < h; r++) {
      for (let c = 0; c < w; c++) {
        const corner = 4 * ((row * h + r) * stride + column * w + c);
        const [right, below] = [4 * w, 4 * h * stride];
        const to = 4 * (r * w + c);
        for (let k = 0; k < 3; k++) {
          image.data[to + k] = Math.round(
            weights[0] * texels[corner + k] + weights[1] * texels[corner + right + k] + weights[2] * texels[corner + below + k] + weights[3] * texels[corner + right + below + k],
          );
        }
        image.data[to + 3] = 255;
      }
    }
    return image;
  },

  paintPicture() {
    const { tileWidth: w, tileHeight: h } = this;
    // Rather a little smaller with its facts beside it than pushing them, and all that follows, down.
    const beside = this.sideWidth - FACTS;
    const room = beside >= 0.4 * this.span ? beside : this.sideWidth - 4;
    const scale = Math.max(1, Math.floor(Math.min(this.data.picture_size, 0.6 * this.span, room) / Math.max(w, h)));
    if (this.picture.width !== w || this.picture.height !== h) [this.picture.width, this.picture.height] = [w, h];
    this.picture.style.width = `${w * scale}px`;
    this.picture.style.height = `${h * scale}px`;
    this.picture.getContext("2d").putImageData(this.blend(this.z), 0, 0);
  },

  paintStrip() {
    const { frames } = this.data;
    const { tileWidth: w, tileHeight: h } = this;
    const gap = 4;
    const scale = Math.max(1, Math.floor((this.stripWidth - gap * (frames - 1)) / frames / w));
    const key = [this.a, this.b, this.atlasId, scale, frames].join();
    if (key !== this.stripKey) {
      this.stripKey = key;
      this.stripImages = Array.from({ length: frames }, (_, i) => {
        const tile = offscreen(w, h);
        tile.getContext("2d").putImageData(this.blend(this.onPath(i / (frames - 1))), 0, 0);
        return tile;
      });
    }
    const step = w * scale + gap;
    const context = fitCanvas(this.strip, frames * step - gap, h * scale);
    context.clearRect(0, 0, frames * step, h * scale);
    this.stripImages.forEach((tile, i) => context.drawImage(tile, i * step, 0, w * scale, h * scale));
    const t = this.pathPosition();
    if (t === null) return;
    context.strokeStyle = "#e69f00";
    context.lineWidth = 4;
    const current = Math.round(t * (frames - 1));
    context.strokeRect(current * step + 2, 2, w * scale - 4, h * scale - 4);
  },

  // Where on the path the point stands, 0 to 1, or null when it is off the path.
  pathPosition() {
    const d = [this.b[0] - this.a[0], this.b[1] - this.a[1]];
    const length = d[0] * d[0] + d[1] * d[1];
    if (length < 1e-9) return null;
    const t = ((this.z[0] - this.a[0]) * d[0] + (this.z[1] - this.a[1]) * d[1]) / length;
    const off = Math.hypot(...this.onPath(t).map((v, k) => v - this.z[k]));
    return t >= -1e-6 && t <= 1 + 1e-6 && off < 0.01 * this.data.extent ? clamp(t, 0, 1) : null;
  },

  // Sheet, codes, rings and axes change seldom: they are drawn once and copied under the moving parts.
  paintBase() {
    const { theme } = this;
    const [width, height] = [MARGIN.left + this.span + MARGIN.right, MARGIN.top + this.span + MARGIN.bottom];
    this.base = offscreen(1, 1);
    const context = fitCanvas(this.base, width, height);
    context.fillStyle = theme.panel;
    context.fillRect(MARGIN.left, MARGIN.top, this.span, this.span);
    context.save();
    context.beginPath();
    context.rect(MARGIN.left, MARGIN.top, this.span, this.span);
    context.clip();
    if (this.shown.sheet && this.sheet) {
      // Under the codes the sheet is only a hint: faint, and on a light page in negative if it is grey, so that the ground stays light.
      const faint = this.shown.points && this.points;
      context.globalAlpha = faint ? 0.28 : 1;
      context.imageSmoothingEnabled = true;
      context.drawImage(faint && !theme.dark && this.negative ? this.negative : this.sheet, MARGIN.left, MARGIN.top, this.span, this.span);
      context.globalAlpha = 1;
    }
    if (this.shown.points && this.points) this.paintPoints(context);
    if (this.shown.rings) this.paintRings(context);
    if (this.shown.points && this.points) this.paintClassLabels(context);
    context.restore();
    this.paintAxes(context);
  },

  paintPoints(context) {
    const { points, classes, theme } = this;
    const alone = this.hoverClass ?? this.only;
    const count = points.length / 2;
    const size = clamp(320 / Math.sqrt(count), 2.5, 6);
    const order = Array.from({ length: this.data.class_names.length || 1 }, (_, i) => i);
    for (const index of order) {
      const dimmed = alone !== null && alone !== undefined && alone !== index;
      context.fillStyle = classes ? this.colour(index) : theme.text;
      context.globalAlpha = dimmed ? 0.07 : 0.85;
      context.beginPath();
      for (let i = 0; i < count; i++) {
        if (classes && classes[i] !== index) continue;
        const [x, y] = [this.toX(points[2 * i]), this.toY(points[2 * i + 1])];
        context.moveTo(x + size / 2, y);
        context.arc(x, y, size / 2, 0, 7);
      }
      context.fill();
    }
    context.globalAlpha = 1;
  },

  label(context, text, x, y, { size = 17, colour = this.theme.text, weight = 700, align = "center" } = {}) {
    context.font = `${weight} ${size}px ${this.theme.font}`;
    context.textAlign = align;
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 5;
    context.strokeStyle = this.theme.background;
    context.strokeText(text, x, y);
    context.fillStyle = colour;
    context.fillText(text, x, y);
  },

  paintClassLabels(context) {
    const alone = this.hoverClass ?? this.only;
    this.centres.forEach((centre, index) => {
      if (!centre || (alone !== null && alone !== undefined && alone !== index)) return;
      this.label(context, this.data.class_names[index], this.toX(centre[0]), this.toY(centre[1]), { size: 20 });
    });
  },

  paintRings(context) {
    const { theme } = this;
    const [cx, cy] = [this.toX(0), this.toY(0)];
    for (const sigma of this.data.rings) {
      const radius = this.toX(sigma) - cx;
      for (const [colour, width] of [[theme.background, 4], [theme.text, 1.75]]) {
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.setLineDash(width < 2 ? [7, 5] : []);
        context.globalAlpha = width < 2 ? 0.85 : 0.5;
        context.beginPath();
        context.arc(cx, cy, radius, 0, 7);
        context.stroke();
      }
      context.setLineDash([]);
      context.globalAlpha = 1;
      // Labels sit on the diagonal, where the axes' own numbers are not.
      this.label(context, `${sigma}σ`, cx + radius * Math.SQRT1_2, cy - radius * Math.SQRT1_2, { size: 15 });
    }
  },

  paintAxes(context) {
    const { theme } = this;
    const { extent } = this.data;
    context.strokeStyle = theme.text;
    context.globalAlpha = 0.6;
    context.lineWidth = 1.5;
    context.strokeRect(MARGIN.left, MARGIN.top, this.span, this.span);
    context.globalAlpha = 1;
    context.fillStyle = theme.text;
    context.font = `500 15px ${theme.font}`;
    const step = [0.25, 0.5, 1, 2, 5, 10].find((s) => (2 * extent) / s <= 8) ?? extent;
    for (let k = -Math.floor(extent / step); k <= Math.floor(extent / step); k++) {
      const [x, y, text] = [this.toX(k * step), this.toY(k * step), String(k * step).replace("-", "−")];
      context.beginPath();
      context.moveTo(x, MARGIN.top + this.span);
      context.lineTo(x, MARGIN.top + this.span + 5);
      context.moveTo(MARGIN.left - 5, y);
      context.lineTo(MARGIN.left, y);
      context.stroke();
      context.textAlign = "center";
      context.textBaseline = "top";
      context.fillText(text, x, MARGIN.top + this.span + 9);
      context.textAlign = "right";
      context.textBaseline = "middle";
      context.fillText(text, MARGIN.left - 9, y);
    }
  },

  paintPlane() {
    if (!this.base) this.paintBase();
    const [width, height] = [MARGIN.left + this.span + MARGIN.right, MARGIN.top + this.span + MARGIN.bottom];
    const context = fitCanvas(this.plane, width, height);
    context.clearRect(0, 0, width, height);
    context.drawImage(this.base, 0, 0, width, height);
    if (this.data.path) this.paintPath(context);
    for (const mark of this.data.marker) {
      if (mark.rx || mark.ry) this.paintEllipse(context, mark);
      this.paintStar(context, this.toX(mark.x), this.toY(mark.y), mark.label);
    }
    const [x, y] = [this.toX(this.z[0]), this.toY(this.z[1])];
    for (const [colour, lineWidth] of [["#ffffff", 7], ["#000000", 3]]) {
      context.strokeStyle = colour;
      context.lineWidth = lineWidth;
      context.beginPath();
      context.arc(x, y, 9, 0, 7);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 9 * dx, y + 9 * dy);
        context.lineTo(x + 17 * dx, y + 17 * dy);
      }
      context.stroke();
    }
  },

  paintPath(context) {
    const ends = [this.a, this.b].map((z) => [this.toX(z[0]), this.toY(z[1])]);
    for (const [colour, lineWidth] of [["#ffffff", 6], ["#000000", 2.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = lineWidth;
      context.beginPath();
      context.moveTo(...ends[0]);
      context.lineTo(...ends[1]);
      context.stroke();
    }
    ends.forEach(([x, y], i) => {
      context.fillStyle = "#000000";
      context.strokeStyle = "#ffffff";
      context.lineWidth = 2.5;
      context.beginPath();
      context.arc(x, y, 13, 0, 7);
      context.fill();
      context.stroke();
      context.fillStyle = "#ffffff";
      context.font = `700 16px ${this.theme.font}`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText("AB"[i], x, y + 1);
    });
  },

  paintEllipse(context, { x, y, rx, ry }) {
    context.beginPath();
    context.ellipse(this.toX(x), this.toY(y), this.toX(rx) - this.toX(0), this.toY(0) - this.toY(ry), 0, 0, 7);
    context.fillStyle = "#f0e44255";
    context.fill();
    for (const [colour, width] of [["#000000", 4], ["#f0e442", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    }
  },

  paintStar(context, x, y, label) {
    context.beginPath();
    for (let i = 0; i < 10; i++) {
      const [radius, angle] = [i % 2 ? 5.5 : 13, (i * Math.PI) / 5 - Math.PI / 2];
      context.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
    }
    context.closePath();
    context.fillStyle = "#f0e442";
    context.strokeStyle = "#000000";
    context.lineWidth = 2.5;
    context.lineJoin = "round";
    context.stroke();
    context.fill();
    if (label) this.label(context, label, x + (x > MARGIN.left + this.span * 0.7 ? -18 : 18), y, { align: x > MARGIN.left + this.span * 0.7 ? "right" : "left" });
  },

  // The majority class among the nearest codes; one alone would flicker where clouds overlap.
  nearest() {
    const { points, classes, z } = this;
    if (!points || !classes) return null;
    const best = [];
    for (let i = 0; i < classes.length; i++) {
      const d = (points[2 * i] - z[0]) ** 2 + (points[2 * i + 1] - z[1]) ** 2;
      if (best.length === NEIGHBOURS && d >= best[NEIGHBOURS - 1][0]) continue;
      let at = best.length;
      while (at > 0 && best[at - 1][0] > d) at--;
      best.splice(at, 0, [d, classes[i]]);
      best.length = Math.min(best.length, NEIGHBOURS);
    }
    const votes = new Map();
    for (const [, index] of best) votes.set(index, (votes.get(index) ?? 0) + 1);
    return [...votes].sort((p, q) => q[1] - p[1])[0]?.[0] ?? null;
  },

  report() {
    const number = (v) => v.toFixed(2).replace("-", "−");
    this.zText.textContent = `(${this.z.map(number).join(", ")})`;
    this.radiusTitle.hidden = this.radius.hidden = !this.data.norm;
    this.radius.textContent = number(Math.hypot(...this.z));
    const index = this.nearest();
    const near = `${index} ${this.theme.dark}`;
    if (near !== this.near) {
      this.near = near;
      const dot = el("span", { class: "dot" });
      dot.style.background = index === null ? "none" : this.colour(index);
      this.nearText.replaceChildren(...(index === null ? [] : [dot, this.data.class_names[index]]));
    }
    const fixed = (z) => z.map((v) => v.toFixed(4)).join();
    const marks = { z: fixed(this.z), a: fixed(this.a), b: fixed(this.b), nearest: index === null ? "" : this.data.class_names[index], decodes: this.decodes, ready: Boolean(this.texels), playing: Boolean(this.playing), only: this.only ?? "" };
    for (const [name, value] of Object.entries(marks)) this.root.dataset[name] = value;
  },
};
