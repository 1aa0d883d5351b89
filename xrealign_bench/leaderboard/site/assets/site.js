// Sorts, filters and groups tables, and switches between light and dark mode. Pages work without it.
"use strict";

const MISSING = "–";

// Use the system's mode until the reader chooses one.
const scheme = document.querySelector("button.scheme");
const use = (name) => { document.documentElement.style.colorScheme = name; };
const remembered = () => { try { return localStorage.getItem("scheme"); } catch { return null; } };
if (remembered()) use(remembered());
scheme.hidden = false;
scheme.addEventListener("click", () => {
  const now = document.documentElement.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  use(next);
  try { localStorage.setItem("scheme", next); } catch { /* pages opened from files may have no storage */ }
});

const lines = (body) => [...body.rows].filter((row) => !row.classList.contains("group"));

// Return the sort key of a cell: a figure, its text, or null if it is empty.
function key(row, column, figures) {
  const cell = row.cells[column];
  const text = cell.textContent.trim();
  if (text === MISSING || text === "") return null;
  if (cell.dataset.s) return Number(cell.dataset.s);
  const figure = figures ? parseFloat(text.replaceAll(",", "")) : NaN;
  return isNaN(figure) ? text : figure;
}

function compare(a, b) {
  return typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
}

// Sort within each body to keep groups; missing values come last in both directions.
function sort(table, heading) {
  const column = heading.cellIndex;
  const figures = heading.classList.contains("n");
  const was = heading.getAttribute("aria-sort");
  const way = was ? (was === "ascending" ? -1 : 1) : figures ? -1 : 1;
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
  for (const body of table.tBodies) {
    const keyed = lines(body).map((row) => [key(row, column, figures), row]);
    keyed.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : way * compare(a, b)));
    body.append(...keyed.map(([, row]) => row));
  }
}

// Make one body for each value of a column, or a single one; rows return to their first order.
function group(table, rows, name) {
  const head = [...table.tHead.rows[0].cells];
  const column = head.findIndex((cell) => cell.textContent.trim() === name);
  const bodies = new Map();
  for (const row of rows) {
    const value = column < 0 ? "" : row.cells[column].textContent.trim();
    bodies.set(value, [...(bodies.get(value) ?? []), row]);
  }
  for (const body of [...table.tBodies]) body.remove();
  for (const [value, members] of bodies) {
    const body = table.createTBody();
    if (value) {
      const title = document.createElement("th");
      title.scope = "rowgroup";
      title.colSpan = head.length;
      title.textContent = `${value} (${members.length})`;
      body.insertRow().append(title);
      body.rows[0].className = "group";
    }
    body.append(...members);
  }
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const heading of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    if (heading.querySelector("a")) {
      button.setAttribute("aria-label", `Sort by ${heading.textContent.trim()}`);
      heading.append(button);
    } else {
      button.append(...heading.childNodes);
      heading.append(button);
    }
    button.addEventListener("click", () => sort(table, heading));
  }
}

for (const form of document.querySelectorAll("form.filter")) {
  const table = form.nextElementSibling.querySelector("table");
  const rows = [...table.tBodies].flatMap(lines);
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const search = form.querySelector("input[type=search]");
  const ranked = form.querySelector(".ranked");
  const selects = [...form.querySelectorAll("select[data-column]")];
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/);
    let shown = 0;
    rows.forEach((row, number) => {
      const fits = words.every((word) => texts[number].includes(word))
        && !(ranked?.checked && !/^\d/.test(row.cells[0].textContent))
        && selects.every((each) => !each.value || row.cells[each.dataset.column].textContent === each.value);
      row.hidden = !fits;
      shown += fits;
    });
    form.querySelector("output").textContent = `${shown} of ${rows.length} rows`;
  };
  const by = form.querySelector(".group-by");
  by?.addEventListener("change", () => group(table, rows, by.value));
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();
}
