// Runs once, when the page is loaded. `element` is the part of the page with the details; its content changes with each
// result, so events are handled by `element` itself.

const all = (selector) => [...element.querySelectorAll(selector)];
const one = (selector) => element.querySelector(selector);

// Marks a cell in the picture, in the gallery and in the table; choosing it again removes the mark.
function choose(cell) {
  const note = one(".chosen-note");
  if (!note) return; // a page with one cell has nothing to choose
  const chosen = cell !== null && !one(`g.cell[data-cell="${cell}"].chosen`) ? cell : null;
  for (const part of all("[data-cell]")) {
    const match = part.dataset.cell === chosen;
    part.classList.toggle("chosen", match);
    if (part.hasAttribute("aria-pressed")) part.setAttribute("aria-pressed", match);
    if (match && part.matches(".gallery button, tr")) reveal(part);
  }
  note.dataset.invitation ??= note.textContent;
  note.textContent = chosen === null ? note.dataset.invitation : tell(chosen);
}

// Scrolls the list, but not the page, as far as needed to show a part of it.
function reveal(part) {
  const list = part.closest(".gallery, .scroll");
  const head = list.querySelector("thead")?.offsetHeight ?? 0;
  const [top, bottom] = [part.offsetTop - head, part.offsetTop + part.offsetHeight];
  if (top < list.scrollTop) list.scrollTop = top;
  else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight + 8;
}

function tell(cell) {
  const units = all("thead th").map((head) => head.querySelector("small").textContent);
  const heads = all("thead th").map((head) => head.querySelector("span").textContent.toLowerCase());
  const cells = [...one(`tr[data-cell="${cell}"]`).cells].map((part) => part.textContent.trim());
  const told = ["confidence", "cell area", "nucleus area", "nucleus share of cell"].map((head) => heads.indexOf(head));
  const figures = told.filter((i) => i >= 0).map((i) => `${heads[i]} ${cells[i]}${units[i]}`);
  return `Cell ${cells[0]}: ${cells[1]}; ${figures.join(", ")}.`;
}

function sort(head) {
  const down = head.getAttribute("aria-sort") !== "descending";
  all("thead th").forEach((other) => other.setAttribute("aria-sort", "none"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = (row) => row.cells[head.cellIndex].dataset.value;
  const rows = [...one("tbody").rows].sort((a, b) => {
    if (value(a) === "" || value(b) === "") return (value(a) === "") - (value(b) === "");
    return down ? value(b) - value(a) : value(a) - value(b);
  });
  one("tbody").append(...rows);
}

// Applies the controls of the heat map: class, opacity, and how much of the image is shown without it.
function mix() {
  const stage = one(".heat .stage");
  if (!stage) return;
  const number = Number(one('.heat input[name="class"]:checked').value);
  all(".heat img.map").forEach((map, i) => map.classList.toggle("shown", i === number));
  stage.style.setProperty("--opacity", one("input.opacity").value / 100);
  stage.style.setProperty("--bare", `${one("input.compare").value}%`);
}

function enlarge(button) {
  const large = button.closest(".two").classList.toggle("large");
  button.textContent = large ? "Reduce the picture" : "Enlarge the picture";
  one(".field .stage").scrollIntoView({ block: large ? "start" : "nearest" });
}

function save() {
  const [picture, map] = [one(".heat .stage img"), one(".heat img.map.shown")];
  const canvas = Object.assign(document.createElement("canvas"), {
    width: picture.naturalWidth,
    height: picture.naturalHeight,
  });
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  context.globalAlpha = one("input.opacity").value / 100;
  context.drawImage(map, 0, 0, canvas.width, canvas.height);
  Object.assign(document.createElement("a"), { href: canvas.toDataURL("image/png"), download: "heat-map.png" }).click();
}

element.addEventListener("click", (event) => {
  const head = event.target.closest("thead th");
  const part = event.target.closest("[data-cell]");
  if (head) sort(head);
  else if (part) choose(part.dataset.cell);
  else if (event.target.closest(".save")) save();
  else if (event.target.closest(".enlarge")) enlarge(event.target.closest(".enlarge"));
});
element.addEventListener("input", (event) => {
  if (event.target.closest(".method")) {
    document.body.dataset.stay = ""; // until another picture comes
    trigger("select", { method: event.target.value });
    return;
  }
  if (event.target.closest(".heat")) mix();
  if (event.target.closest(".layers")) {
    one(".field .stage").classList.toggle(`without-${event.target.value}`, !event.target.checked);
  }
});
element.addEventListener("submit", (event) => event.preventDefault());
watch("value", () => {
  all("form").forEach((form) => form.reset());
  const compare = one("input.compare");
  if (compare) compare.value = 50;
  if (one(".scroll")) one(".scroll").scrollTop = 0;
  mix();
  if ("stay" in document.body.dataset) one(".method select")?.focus();
});
