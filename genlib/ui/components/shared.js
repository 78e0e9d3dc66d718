// Helpers shared by the components; prepended to each component's script (there is no build step and no import).

// What the user last had, by component key. Lives as long as the browser page, so that leaving a page of the app and coming back does not
// lose a drawing; Python keeps its own record of the same thing.
const MEMORY = (globalThis.genlibComponentMemory ??= new Map());
const INSTANCES = new WeakMap();

// Streamlit calls the default export again whenever the data or the theme changes, and may call the cleanup of a superseded call while a
// newer one is alive. So an instance lives with its parent element; cleanup only puts it to sleep, and only if nothing came after.
function mountOnce({ parentElement, ...args }, create) {
  let instance = INSTANCES.get(parentElement);
  if (!instance) {
    instance = create(parentElement);
    INSTANCES.set(parentElement, instance);
  }
  const generation = (instance.generation = (instance.generation ?? 0) + 1);
  instance.wake();
  instance.update(args);
  return () => {
    if (instance.generation === generation) instance.sleep();
  };
}

const newNonce = () => Math.random().toString(36).slice(2, 12);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// Attributes by name; `text` is textContent (never HTML), `on` maps events to listeners.
function el(tag, { text, on = {}, ...attributes } = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  if (text !== undefined) node.textContent = text;
  for (const [event, listener] of Object.entries(on)) node.addEventListener(event, listener);
  node.append(...children.filter(Boolean));
  return node;
}

// Stroke icons on a 24 x 24 grid, our own.
const ICONS = {
  draw: "M4 20l1-4L16 5l3 3L8 19l-4 1zM14 7l3 3",
  erase: "M9 19h11M4 14l8-8 6 6-7 7H8z",
  hide: "M4 4h16v16H4zM4 12l8-8M4 20L20 4M12 20l8-8",
  reveal: "M2 12s4-6 10-6 10 6 10 6-4 6-10 6S2 12 2 12zM12 9.5a2.5 2.5 0 100 5 2.5 2.5 0 000-5z",
  box: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M9 9h6v6H9z",
  undo: "M8 5L4 9l4 4M4 9h10a5 5 0 010 10h-4",
  redo: "M16 5l4 4-4 4M20 9H10a5 5 0 000 10h4",
  clear: "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13M10 11v5M14 11v5",
  play: "M7 4l13 8-13 8z",
  pause: "M7 4h3v16H7zM14 4h3v16h-3z",
  next: "M6 4l10 8-10 8zM18 4v16",
  previous: "M18 4L8 12l10 8zM6 4v16",
  last: "M4 4l7 8-7 8zM12 4l7 8-7 8zM21 4v16",
  first: "M20 4l-7 8 7 8zM12 4l-7 8 7 8zM3 4v16",
  loop: "M17 3l3 3-3 3M20 6H9a5 5 0 00-5 5M7 21l-3-3 3-3M4 18h11a5 5 0 005-5",
  follow: "M4 12h11M11 6l6 6-6 6M20 4v16",
  save: "M12 3v12M7 10l5 5 5-5M4 20h16",
};
const FILLED = new Set(["play", "pause", "next", "previous", "last", "first"]);

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", FILLED.has(name) ? "icon filled" : "icon");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

// A button with an icon, a text, or both. Without a visible text the label is what a screen reader says and the tooltip shows.
function button(label, { iconName, show = true, keys, testid, onClick, ...attributes }) {
  const tip = keys ? `${label} (${keys})` : label;
  return el(
    "button",
    { type: "button", class: show ? "btn" : "btn square", title: tip, "aria-label": label, "data-testid": testid, on: { click: onClick }, ...attributes },
    iconName ? icon(iconName) : null,
    show ? el("span", { text: label }) : null,
  );
}

const press = (node, on) => node.setAttribute("aria-pressed", on ? "true" : "false");

function setIcon(node, name) {
  node.querySelector("svg").replaceWith(icon(name));
}

function fromBase64(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

function toBase64(bytes) {
  let raw = "";
  for (let i = 0; i < bytes.length; i += 8192) raw += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(raw);
}

// `length` bytes from `start` on, of those that a base64 text holds; the rest of the text is not looked at.
function bytesOf(base64, start, length) {
  const first = Math.floor(start / 3);
  const bytes = fromBase64(base64.slice(4 * first, 4 * Math.ceil((start + length) / 3)));
  return bytes.subarray(start - 3 * first, start - 3 * first + length);
}

// By way of an image: making a Blob waits for the browser's main process, which is busy just then, up to 5 ms each. Our PNGs name no
// colour space and have no alpha, so pixel values come out as they went in.
async function decodePng(base64) {
  const image = new Image();
  image.src = `data:image/png;base64,${base64}`;
  await image.decode();
  return image;
}

// A picture that came with the data, or lies at an address of the server ("/media/..."), which may itself live under a path.
async function decodeAsset({ png, url }) {
  if (!url) return decodePng(png);
  const answer = await fetch(new URL(`.${url}`, document.baseURI));
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return createImageBitmap(await answer.blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
}

function offscreen(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

// Sizes a canvas to CSS pixels at the screen's resolution; afterwards the context draws in CSS pixels.
function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.imageSmoothingEnabled = false;
  return context;
}

// The app's colours, read where the component stands, so that dark, light and custom themes all work.
function readTheme(node) {
  const style = getComputedStyle(node);
  const read = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
  const background = read("--st-background-color", "#ffffff");
  const [r, g, b] = toRgb(background);
  return {
    background,
    text: read("--st-text-color", "#1b1b1f"),
    panel: read("--st-secondary-background-color", "#f0f2f6"),
    primary: read("--st-primary-color", "#d1495b"),
    border: read("--st-border-color", "#8888"),
    font: read("--st-font", "sans-serif"),
    dark: 0.299 * r + 0.587 * g + 0.114 * b < 128,
  };
}

function toRgb(colour) {
  const context = offscreen(1, 1).getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data;
}

// The height a picture may take: what was asked for, but no more than a share of the window, so that its controls stay in sight.
const fitWindow = (wanted, share, least) => Math.min(wanted, Math.max(least, share * window.innerHeight));

// Calls back when the node's width or the window changes; returns what start and stop it.
function watchSize(node, callback) {
  const observer = new ResizeObserver(callback);
  return {
    start() {
      observer.observe(node);
      window.addEventListener("resize", callback);
    },
    stop() {
      observer.disconnect();
      window.removeEventListener("resize", callback);
    },
  };
}

function download(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Runs a commit a moment after the last call: held keys must not cause a rerun each.
class Later {
  constructor(action, wait = 350) {
    this.action = action;
    this.wait = wait;
  }
  start() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), this.wait);
  }
  cancel() {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
  get due() {
    return this.timer !== undefined;
  }
  flush() {
    const { due } = this;
    this.cancel();
    if (due) this.action();
  }
}
