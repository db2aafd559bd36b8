"use strict";

// Tables: a click, or Enter on the heading, sorts; numbers begin with the highest; the third click undoes it.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const headings = [...table.tHead.rows[0].cells];

  const key = (row, column) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
  };
  const sort = (column) => {
    const numbers = original.some((row) => "value" in row.cells[column].dataset);
    const order = numbers ? ["descending", "ascending", null] : ["ascending", "descending", null];
    const now = headings[column].getAttribute("aria-sort");
    const next = order[(order.indexOf(now) + 1) % order.length];
    headings.forEach((heading) => heading.removeAttribute("aria-sort"));
    if (next) headings[column].setAttribute("aria-sort", next);
    const sign = next === "descending" ? -1 : 1;
    const compare = (a, b) => {
      const x = key(a, column), y = key(b, column);
      // A cell without a number comes last in either order.
      if (numbers && typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
      if (numbers && typeof x === "number") return x === y ? 0 : x < y ? -sign : sign;
      return sign * x.localeCompare(y, "en", { numeric: true });
    };
    body.append(...(next ? [...original].sort(compare) : original));
  };
  // Where rows are of several kinds, such as PSNR and SSIM, one kind is shown at a time.
  const titled = table.closest("[data-kinds]");
  if (titled) {
    const column = Number(titled.dataset.kinds);
    const kind = (row) => row.cells[column].textContent;
    const select = document.createElement("select");
    select.append(...[...new Set(original.map(kind))].map((name) => new Option(name)));
    const filter = () => original.forEach((row) => { row.hidden = kind(row) !== select.value; });
    select.addEventListener("change", filter);
    const label = document.createElement("label");
    label.className = "kinds";
    label.append(`${headings[column].textContent} `, select);
    titled.querySelector("h3").after(label);
    for (const row of table.rows) row.cells[column].hidden = true;
    filter();
  }
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(column));
    heading.append(button);
  });
}

// Pictures: the slider is an input, so that keys and screen readers know it; pointers move it from anywhere.
const stages = [...document.querySelectorAll(".compare")];
const together = document.getElementById("together");
const chosen = (side) => document.querySelector(`select[data-side="${side}"]`);
const captions = [...document.querySelectorAll("[data-version]")];

const cut = (stage, percent) => {
  for (const one of together.checked ? stages : [stage]) {
    const input = one.querySelector("input");
    input.value = Math.round(percent);
    one.style.setProperty("--cut", `${percent}%`);
    describe(one, input);
  }
};
const describe = (stage, input) => {
  const [left, right] = [...stage.querySelectorAll(".tag")].map((tag) => tag.textContent);
  input.setAttribute("aria-valuetext", `${input.value} % ${left}, ${100 - input.value} % ${right}`);
};
const show = () => {
  for (const stage of stages) {
    for (const side of ["left", "right"]) {
      const select = chosen(side);
      stage.querySelectorAll("img").forEach((image, i) => image.classList.toggle(side, i === select.selectedIndex));
      stage.querySelector(`.tag.${side}`).textContent = select.selectedOptions[0].textContent;
    }
    describe(stage, stage.querySelector("input"));
  }
  const seen = ["left", "right"].map((side) => chosen(side).value);
  captions.forEach((line) => { line.hidden = !seen.includes(line.dataset.version); });
};
for (const stage of stages) {
  const input = stage.querySelector("input");
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    cut(stage, Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width)));
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
    input.focus({ preventScroll: true, focusVisible: false });
    follow(event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (stage.hasPointerCapture(event.pointerId)) follow(event);
  });
  input.addEventListener("input", () => cut(stage, Number(input.value)));
}
if (stages.length) {
  // The first few are shown; the others, which are in the page too, when the reader asks for more.
  const STEP = 12;
  const figures = [...document.querySelectorAll(".gallery > figure")];
  const more = document.getElementById("more");
  let seen = 0;
  const reveal = () => {
    const before = seen;
    seen = Math.min(figures.length, seen + STEP);
    figures.forEach((figure, i) => { figure.hidden = i >= seen; });
    more.hidden = seen === figures.length;
    more.textContent = `Show ${Math.min(STEP, figures.length - seen)} more (${figures.length - seen} left)`;
    if (before) figures[before].querySelector("input").focus({ preventScroll: true });
  };
  more.addEventListener("click", reveal);
  reveal();
  for (const side of ["left", "right"]) chosen(side).addEventListener("change", show);
  together.addEventListener("change", () => {
    if (together.checked) cut(stages[0], Number(stages[0].querySelector("input").value));
  });
  show();
}

// Charts: the legend tells the values at the pointer, and the last ones when there is none.
for (const chart of document.querySelectorAll(".chart")) {
  const picture = chart.querySelector(":scope > svg");
  const cursor = picture.querySelector(".cursor");
  const at = chart.querySelector(".at");
  const lines = [...chart.querySelectorAll(".legend li")].map((item) => ({
    output: item.querySelector("output"),
    last: item.querySelector("output").textContent,
    x: item.dataset.x.split(" "),
    y: item.dataset.y.split(" "),
    at: item.dataset.at.split(" ").map(Number),
  }));
  const nearest = (positions, x) =>
    positions.reduce((best, one, i) => (Math.abs(one - x) < Math.abs(positions[best] - x) ? i : best), 0);
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * picture.viewBox.baseVal.width;
    const found = lines.map((line) => nearest(line.at, x));
    const first = lines.reduce(
      (best, line, i) => (Math.abs(line.at[found[i]] - x) < Math.abs(lines[best].at[found[best]] - x) ? i : best), 0);
    cursor.classList.add("on");
    cursor.setAttribute("x1", lines[first].at[found[first]]);
    cursor.setAttribute("x2", lines[first].at[found[first]]);
    at.textContent = `${Number(lines[first].x[found[first]]).toLocaleString("en")} ${at.dataset.unit}`;
    lines.forEach((line, i) => { line.output.textContent = line.y[found[i]]; });
  });
  picture.addEventListener("pointerleave", () => {
    cursor.classList.remove("on");
    at.textContent = "";
    lines.forEach((line) => { line.output.textContent = line.last; });
  });
}
