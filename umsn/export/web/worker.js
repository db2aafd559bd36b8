// The network: RGBA pixels in, sharper ones out, tile by tile, so that memory is bounded and progress shows.

import * as ort from "./ort.wasm.min.mjs";

const LITTLE = 1e-6; // weight of a line that counts for nothing where another tile shows it

ort.env.wasm.wasmPaths = new URL("./", import.meta.url).href;
// Threads need a page that is isolated from others, which its server has to say.
ort.env.wasm.numThreads = self.crossOriginIsolated ? navigator.hardwareConcurrency : 1;

function open(name) {
  return ort.InferenceSession.create(new URL(name, import.meta.url).href, { executionProviders: ["wasm"] });
}

/** Starts of equal tiles that cover a length, each overlapping the next by at least `overlap`. */
function starts(length, tile, overlap) {
  const count = length <= tile ? 1 : Math.ceil((length - overlap) / (tile - overlap));
  return spread(length, tile, count);
}

/** Starts of `count` pieces of a length, the first at its beginning and the last at its end. */
function spread(length, piece, count) {
  const beyond = Math.max(length - piece, 0);
  return Array.from({ length: count }, (_, i) => Math.floor((beyond * i) / Math.max(count - 1, 1)));
}

/** Weight of each line of a tile: 1 inside, falling towards its ends, never 0. */
function ramp(length, { overlap, margin }) {
  return Float32Array.from({ length }, (_, i) =>
    Math.min(1, Math.max(LITTLE, (Math.min(i, length - 1 - i) + 1 - margin) / (overlap - 2 * margin))));
}

/** Write a piece of a photograph into `out` as planes of numbers from 0 to 1; beyond its end, its last line. */
function cut({ pixels, width, height }, top, left, h, w, out) {
  for (let c = 0, at = 0; c < 3; c++)
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++, at++) {
        const place = Math.min(top + y, height - 1) * width + Math.min(left + x, width - 1);
        out[at] = pixels[4 * place + c] / 255;
      }
  return out;
}

/** The kernel that a photograph was shaken with, from windows all over it. */
async function estimate(photograph, { window: side, most_windows }) {
  const [tops, lefts] = [photograph.height, photograph.width].map((length) => {
    const count = 1 + Math.ceil(Math.max(length - side, 0) / (side / 2));
    return spread(length, side, Math.min(count, most_windows));
  });
  const size = 3 * side * side;
  const windows = new Float32Array(tops.length * lefts.length * size);
  tops.forEach((top, i) => lefts.forEach((left, j) => {
    const first = (i * lefts.length + j) * size;
    cut(photograph, top, left, side, side, windows.subarray(first, first + size));
  }));
  const session = await open("kernel.onnx");
  const { kernel } = await session.run({
    windows: new ort.Tensor("float32", windows, [windows.length / size, 3, side, side]),
  });
  await session.release();
  return kernel;
}

async function sharpen(photograph) {
  const { width, height } = photograph;
  const about = await (await fetch("model.json")).json();
  let kernel = null;
  if (about.window) {
    self.postMessage({ text: "Finding out how the camera shook…" });
    kernel = await estimate(photograph, about);
    self.postMessage({ kernel: kernel.data, side: kernel.dims[1] });
  }
  const session = await open("model.onnx");
  const sum = new Float32Array(3 * width * height);
  const weight = new Float32Array(width * height);
  const [tops, lefts] = [height, width].map((side) => starts(side, about.tile, about.overlap));
  const [h, w] = [height, width].map((side) => Math.min(about.tile, side));
  const [down, across] = [ramp(h, about), ramp(w, about)];
  let done = 0;
  for (const top of tops) {
    for (const left of lefts) {
      const input = cut(photograph, top, left, h, w, new Float32Array(3 * h * w));
      const blurry = new ort.Tensor("float32", input, [1, 3, h, w]);
      const { sharp } = await session.run(kernel ? { blurry, kernel } : { blurry });
      for (let y = 0; y < h; y++)
        for (let x = 0; x < w; x++) {
          const share = Math.min(down[y], across[x]);
          const at = (top + y) * width + left + x;
          weight[at] += share;
          for (let c = 0; c < 3; c++) sum[3 * at + c] += share * sharp.data[(c * h + y) * w + x];
        }
      sharp.dispose();
      self.postMessage({ done: ++done / (tops.length * lefts.length) });
    }
  }
  const out = new Uint8ClampedArray(4 * width * height); // rounds and clamps
  for (let at = 0; at < weight.length; at++) {
    for (let c = 0; c < 3; c++) out[4 * at + c] = (255 * sum[3 * at + c]) / weight[at];
    out[4 * at + 3] = 255;
  }
  return out;
}

self.onmessage = async ({ data }) => {
  const start = performance.now();
  try {
    const pixels = await sharpen(data);
    self.postMessage({ pixels, seconds: (performance.now() - start) / 1000 }, [pixels.buffer]);
  } catch (error) {
    self.postMessage({ error: `The photograph could not be sharpened (${error.message}). Try a smaller one.` });
  }
};
