// The network: RGBA pixels in, sharper ones out, tile by tile, so that memory is bounded and progress shows.

import * as ort from "./ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./", import.meta.url).href;
// Threads need a page that is isolated from others, which its server has to say.
ort.env.wasm.numThreads = self.crossOriginIsolated ? navigator.hardwareConcurrency : 1;

/** Starts of equal tiles that cover a length, each overlapping the next by at least `overlap`. */
function starts(length, tile, overlap) {
  if (length <= tile) return [0];
  const count = Math.ceil((length - overlap) / (tile - overlap));
  return Array.from({ length: count }, (_, i) => Math.floor(((length - tile) * i) / (count - 1)));
}

/** Weight of each line of a tile: 1 inside, falling towards its ends, never 0. */
function ramp(length, overlap) {
  return Float32Array.from({ length }, (_, i) => Math.min(1, (Math.min(i, length - 1 - i) + 1) / overlap));
}

async function sharpen({ pixels, width, height }) {
  const about = await (await fetch("model.json")).json();
  const session = await ort.InferenceSession.create(new URL("model.onnx", import.meta.url).href, {
    executionProviders: ["wasm"],
  });
  const sum = new Float32Array(3 * width * height);
  const weight = new Float32Array(width * height);
  const [tops, lefts] = [height, width].map((side) => starts(side, about.tile, about.overlap));
  let done = 0;
  for (const top of tops) {
    for (const left of lefts) {
      const h = Math.min(about.tile, height);
      const w = Math.min(about.tile, width);
      const input = new Float32Array(3 * h * w);
      for (let c = 0; c < 3; c++)
        for (let y = 0; y < h; y++)
          for (let x = 0; x < w; x++)
            input[(c * h + y) * w + x] = pixels[4 * ((top + y) * width + left + x) + c] / 255;
      const { sharp } = await session.run({ blurry: new ort.Tensor("float32", input, [1, 3, h, w]) });
      const [down, across] = [ramp(h, about.overlap), ramp(w, about.overlap)];
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
