// Draws numbers as colours.

export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
}

function colourOf(name) {
  const digits = getComputedStyle(document.documentElement).getPropertyValue(name).trim().slice(1);
  return [0, 2, 4].map(i => parseInt(digits.slice(i, i + 2), 16));
}

// A function from a share of the largest value, -1 to 1, to red, green and blue. It follows the
// theme, so get a new one for each drawing.
export function ramp() {
  const [low, middle, high, below] = ["--low", "--middle", "--high", "--below"].map(colourOf);
  const mix = (from, to, share) => from.map((value, i) => value + (to[i] - value) * share);
  return share => {
    if (!(share > 0)) return share < 0 ? mix(low, below, Math.min(1, -share)) : low;
    return share < 0.5 ? mix(low, middle, 2 * share) : mix(middle, high, Math.min(1, 2 * share - 1));
  };
}

// An off-screen canvas of one pixel for each value; `colour(value)` gives red, green and blue.
export function pixels(width, height, values, colour) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) image.data.set([...colour(values, i), 255], 4 * i);
  context.putImageData(image, 0, 0);
  return canvas;
}

export function draw(canvas, source, x = 0, y = 0, width = canvas.width, height = canvas.height) {
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(source, x, y, width, height);
}

// What the net was given, in grey or colour.
export function givenPixels({ shape: [height, width, channels], pixels: packed }) {
  const grey = (bytes, i) => [bytes[i], bytes[i], bytes[i]];
  const colour = (bytes, i) => bytes.subarray(3 * i, 3 * i + 3);
  return pixels(width, height, bytesOf(packed), channels === 1 ? grey : colour);
}

export function drawMap(canvas, map, largest) {
  const colour = ramp();
  [canvas.height, canvas.width] = [map.length, map[0].length];
  draw(canvas, pixels(canvas.width, canvas.height, map.flat(),
    (values, i) => colour(values[i] / largest)));
}

// The map over the picture, each value where its receptive field has its centre. The picture is
// mostly black in both themes, so the values glow on it.
export function drawOverlay(canvas, given, map, largest, field, size) {
  const context = canvas.getContext("2d");
  const [above, below] = ["--glow", "--below"].map(name => colourOf(name).join(" "));
  draw(canvas, givenPixels(given));
  const scale = canvas.width / size;
  map.forEach((row, i) => row.forEach((value, j) => {
    const share = Math.min(1, Math.abs(value) / largest);
    const [y, x] = [i, j].map((k, axis) => (field[axis][0] + (k - 0.5) * field[axis][1]) * scale);
    const edges = field.map(axis => axis[1] * scale - 1);
    context.fillStyle = `rgb(${value < 0 ? below : above} / ${0.8 * share})`;
    context.fillRect(x, y, edges[1], edges[0]);
    context.strokeStyle = "rgb(128 128 128 / .35)";
    context.strokeRect(x + 0.5, y + 0.5, edges[1], edges[0]);
  }));
}

// Channels of a layer side by side, six in a row.
export function drawChannels(canvas, { shape: [, height, width], channels, pixels: packed }) {
  const colour = ramp(), bytes = bytesOf(packed), cell = 64, gap = 4;
  canvas.width = 6 * (cell + gap) - gap;
  canvas.height = Math.ceil(channels.length / 6) * (cell + gap) - gap;
  channels.forEach((_, i) => {
    const one = bytes.subarray(i * height * width, (i + 1) * height * width);
    draw(canvas, pixels(width, height, one, (values, k) => colour(values[k] / 255)),
      (i % 6) * (cell + gap), Math.floor(i / 6) * (cell + gap), cell, cell);
  });
}

export function drawRamp(canvas) {
  const colour = ramp();
  draw(canvas, pixels(canvas.width, 1, null, (_, i) => colour(i / (canvas.width - 1))));
}
