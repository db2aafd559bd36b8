// The page: takes a photograph, hands its pixels to the worker, shows both pictures.

const MOST_PIXELS = 40e6; // with its sums, such a picture takes about a gigabyte
const byId = (id) => document.getElementById(id);
const [drop, file, message, progress, result, slider, compare, save] =
  ["drop", "file", "message", "progress", "result", "slider", "compare", "save"].map(byId);
const [before, after, shake] = [byId("before"), byId("after"), byId("shake")];

let worker = null;
let name = "picture";

function say(text) {
  message.textContent = text;
}

function fail(text) {
  progress.hidden = true;
  say(text);
  worker?.terminate();
  worker = null;
}

async function pixelsOf(chosen) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(chosen); // turned as its EXIF says
  } catch {
    throw new Error("This file is no picture that your browser can read. Choose a JPEG, PNG or WebP file.");
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) {
    bitmap.close();
    throw new Error(`This picture has ${Math.round((width * height) / 1e6)} million pixels; at most 40 million fit. Cut out the face first.`);
  }
  if (Math.min(width, height) < 32) {
    bitmap.close();
    throw new Error("This picture is smaller than 32 pixels; there is no face to see.");
  }
  for (const canvas of [before, after]) [canvas.width, canvas.height] = [width, height];
  compare.style.setProperty("--width", width);
  compare.style.setProperty("--height", height);
  const context = before.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height); // transparent parts are white
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

async function sharpen(chosen) {
  result.hidden = true;
  byId("shaken").hidden = true;
  worker?.terminate(); // a second photograph replaces the first
  worker = null;
  let image;
  try {
    image = await pixelsOf(chosen);
  } catch (error) {
    fail(error.message);
    return;
  }
  name = chosen.name.replace(/\.[^.]*$/, "") || "picture";
  progress.removeAttribute("value");
  progress.hidden = false;
  say("Loading the network…");
  const mine = new Worker("worker.js", { type: "module" });
  worker = mine;
  mine.onerror = () => fail("The network could not be started. Reload the page; if that does not help, try another browser.");
  mine.onmessage = ({ data }) => {
    if (mine !== worker) return;
    if (data.error) fail(data.error);
    else if (data.text) say(data.text);
    else if (data.kernel) draw(data.kernel, data.side);
    else if (data.pixels) show(new ImageData(data.pixels, image.width, image.height), data.seconds);
    else {
      progress.value = data.done;
      say(`Sharpening: ${Math.round(100 * data.done)} %`);
    }
  };
  mine.postMessage({ pixels: image.data, width: image.width, height: image.height });
}

/** Show the path that the camera took, bright where it stayed longest. */
function draw(kernel, side) {
  [shake.width, shake.height] = [side, side];
  const brightest = Math.max(...kernel);
  const picture = new ImageData(side, side);
  kernel.forEach((weight, at) => picture.data.set([255, 255, 255, (255 * weight) / brightest], 4 * at));
  shake.getContext("2d").putImageData(picture, 0, 0);
  byId("shaken").hidden = false;
}

function show(sharp, seconds) {
  after.getContext("2d").putImageData(sharp, 0, 0);
  progress.hidden = true;
  result.hidden = false;
  say(`Done in ${seconds.toFixed(1)} seconds. Move the slider to compare.`);
  worker.terminate();
  worker = null;
}

file.addEventListener("change", () => file.files.length && sharpen(file.files[0]));
slider.addEventListener("input", () => compare.style.setProperty("--cut", `${slider.value}%`));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault(); // a photograph dropped beside the field must not replace the page
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) sharpen(event.dataTransfer.files[0]);
  });
}
save.addEventListener("click", () => {
  after.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name}-sharp.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }, "image/png");
});
