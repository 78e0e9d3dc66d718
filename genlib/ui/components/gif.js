// A small GIF89a writer: one palette for the whole film (exact up to 256 colours, else median cut), variable-length LZW, endless loop.

// Counts colours; drops low bits only when there are too many to count.
function countColours(frames) {
  for (const drop of [0, 2, 3]) {
    const keep = (0xff >> drop) << drop;
    const mask = (keep << 16) | (keep << 8) | keep;
    const counts = new Map();
    for (const { data } of frames) {
      const words = new Uint32Array(data.buffer);
      for (const word of words) {
        const colour = word & mask;
        counts.set(colour, (counts.get(colour) ?? 0) + 1);
      }
      if (counts.size > 40_000) break;
    }
    if (counts.size <= 40_000) return { counts, mask };
  }
  throw new Error("unreachable: 5 bits a channel give at most 32768 colours");
}

// Heckbert's median cut over the counted colours, [r, g, b, count, key]. Returns the palette and the index of each colour.
function choosePalette(counts) {
  const colours = [...counts].map(([key, count]) => [key & 255, (key >> 8) & 255, (key >> 16) & 255, count, key]);
  const spread = (box) => {
    let best = [0, 0];
    for (let k = 0; k < 3; k++) {
      let [low, high] = [255, 0];
      for (const colour of box) {
        if (colour[k] < low) low = colour[k];
        if (colour[k] > high) high = colour[k];
      }
      if (high - low > best[0]) best = [high - low, k];
    }
    return best;
  };
  const boxes = [{ box: colours, wide: spread(colours) }];
  while (boxes.length < 256) {
    const at = boxes.reduce((best, { wide }, i) => (wide[0] > boxes[best].wide[0] ? i : best), 0);
    const { box, wide } = boxes[at];
    if (wide[0] === 0) break; // every box is one colour: the palette is exact
    box.sort((p, q) => p[wide[1]] - q[wide[1]]);
    const total = box.reduce((sum, colour) => sum + colour[3], 0);
    let [cut, seen] = [0, 0];
    do seen += box[cut++][3];
    while (seen < total / 2 && cut < box.length - 1);
    const [left, right] = [box.slice(0, cut), box.slice(cut)];
    boxes.splice(at, 1, { box: left, wide: spread(left) }, { box: right, wide: spread(right) });
  }
  const palette = new Uint8Array(256 * 3);
  const indices = new Map();
  boxes.forEach(({ box }, index) => {
    const total = box.reduce((sum, colour) => sum + colour[3], 0);
    for (let k = 0; k < 3; k++) palette[3 * index + k] = Math.round(box.reduce((sum, colour) => sum + colour[k] * colour[3], 0) / total);
    for (const colour of box) indices.set(colour[4], index);
  });
  return { palette, indices };
}

// LZW with 8-bit symbols, in GIF's sub-blocks of up to 255 bytes. `dictionary` maps (code so far, next symbol) to a code.
function compress(pixels, out) {
  const CLEAR = 256;
  const END = 257;
  let [bits, held, width, next] = [0, 0, 9, 258];
  let block = [];
  const flush = () => {
    if (!block.length) return;
    out.push(block.length, ...block);
    block = [];
  };
  const emit = (code) => {
    bits |= code << held;
    held += width;
    while (held >= 8) {
      block.push(bits & 255);
      if (block.length === 255) flush();
      bits >>>= 8;
      held -= 8;
    }
  };
  let dictionary = new Map();
  out.push(8);
  emit(CLEAR);
  let code = pixels[0];
  for (let i = 1; i < pixels.length; i++) {
    const pair = (code << 8) | pixels[i];
    const known = dictionary.get(pair);
    if (known !== undefined) {
      code = known;
      continue;
    }
    emit(code);
    if (next === 4096) {
      emit(CLEAR);
      [dictionary, width, next] = [new Map(), 9, 258];
    } else {
      // The decoder learns each code one step later, so the width grows when the code to come needs it.
      if (next === 1 << width) width += 1;
      dictionary.set(pair, next++);
    }
    code = pixels[i];
  }
  emit(code);
  emit(END);
  if (held > 0) block.push(bits & 255);
  flush();
  out.push(0);
}

// frames: ImageData of one size; seconds: how long each stays. Resolves to the file's bytes.
async function encodeGif(frames, seconds, progress = () => {}) {
  const { width, height } = frames[0];
  const { counts, mask } = countColours(frames);
  const { palette, indices } = choosePalette(counts);
  const word = (n) => [n & 255, n >> 8];
  const ascii = (text) => [...text].map((c) => c.charCodeAt(0));
  const chunks = [];
  chunks.push([...ascii("GIF89a"), ...word(width), ...word(height), 0xf7, 0, 0, ...palette]);
  chunks.push([0x21, 0xff, 11, ...ascii("NETSCAPE2.0"), 3, 1, 0, 0, 0]);
  // Hundredths of a second; browsers slow anything below two down to ten.
  const delay = Math.max(2, Math.round(100 * seconds));
  for (let f = 0; f < frames.length; f++) {
    const words = new Uint32Array(frames[f].data.buffer);
    const pixels = new Uint8Array(words.length);
    for (let i = 0; i < words.length; i++) pixels[i] = indices.get(words[i] & mask);
    const out = [0x21, 0xf9, 4, 0, ...word(delay), 0, 0, 0x2c, 0, 0, 0, 0, ...word(width), ...word(height), 0];
    compress(pixels, out);
    chunks.push(out);
    progress((f + 1) / frames.length);
    if (f % 4 === 3) await new Promise((resolve) => setTimeout(resolve));
  }
  chunks.push([0x3b]);
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
