// A table of any number of rows, of which only those in sight exist.

import { fill, h } from "./dom.js";

/** The height of a row: in a narrow window it has two lines. */
const NARROW = matchMedia("(max-width: 640px)");
const height = () => (NARROW.matches ? 52 : 30);
const SPARE = 12;

/**
 * A table. `columns`: `{ name, cell(row) → nodes, sort?(row) → value, numeric? }`; `key(row)` is stable. Returns
 * `{ element, set(rows), refresh(find) }`: what `set` costs depends on the number of rows, what `refresh` costs on those in sight; it
 * shows what `find(key)` returns in place of each, in the order of before.
 */
export function virtualTable({ label, columns, key, onopen, sort = 0, descending = false }) {
  let rows = [];
  let order = { column: sort, descending };
  const head = h("div.vhead", { role: "row" });
  const body = h("div.vbody", { role: "presentation" });
  const spacer = h("div.vspace", { role: "presentation" });
  const scroller = h("div.vscroll", { role: "rowgroup" }, h("div.vsize", { role: "presentation" }, spacer, body));
  const size = scroller.firstChild;
  const element = h("div.vtable", { role: "table", "aria-label": label, style: null }, h("div", { role: "rowgroup" }, head), scroller);
  element.style.setProperty("--columns", String(columns.length));

  function drawHead() {
    fill(head, columns.map((column, index) => {
      const state = order.column === index ? (order.descending ? "descending" : "ascending") : "none";
      const sorting = () => {
        order = { column: index, descending: order.column === index ? !order.descending : false };
        drawHead();
        arrange();
      };
      return h(
        `div.vcell${column.numeric ? ".numeric" : ""}`, { role: "columnheader", "aria-sort": column.sort ? state : null },
        column.sort ? h("button.head", { type: "button", onclick: sorting }, column.name, state === "none" ? "" : state === "ascending" ? " ▲" : " ▼") : column.name,
      );
    }));
  }

  let arranged = [];
  function arrange() {
    const value = columns[order.column]?.sort;
    arranged = value ? rows.map((row) => [value(row), row]) : rows.map((row) => [0, row]);
    if (value) {
      const sign = order.descending ? -1 : 1;
      arranged.sort(([a], [b]) => sign * (typeof a === "string" || typeof b === "string" ? String(a ?? "").localeCompare(String(b ?? ""), undefined, { numeric: true }) : (a ?? 0) - (b ?? 0)));
    }
    arranged = arranged.map(([, row]) => row);
    element.setAttribute("aria-rowcount", String(arranged.length + 1));
    draw();
  }

  const drawn = new Map();
  let find = () => undefined;
  function draw() {
    const one = height();
    const first = Math.max(0, Math.floor(scroller.scrollTop / one) - SPARE);
    const last = Math.min(arranged.length, Math.ceil((scroller.scrollTop + (scroller.clientHeight || 400)) / one) + SPARE);
    size.style.height = `${arranged.length * one}px`;
    body.style.transform = `translateY(${first * one}px)`;
    const focused = document.activeElement?.closest?.("[data-row]")?.dataset.row;
    const next = [];
    for (let index = first; index < last; index++) {
      const id = String(key(arranged[index]));
      const row = find(key(arranged[index])) ?? arranged[index];
      let known = drawn.get(id);
      if (known?.row !== row) {
        known = { row, element: known?.element ?? newRow(id) };
        fill(known.element, columns.map((column) => h(`div.vcell${column.numeric ? ".numeric" : ""}`, { role: "cell" }, column.cell(row))));
        drawn.set(id, known);
      }
      known.element.setAttribute("aria-rowindex", String(index + 2));
      next.push(known.element);
    }
    const same = body.children.length === next.length && next.every((one, index) => body.children[index] === one);
    if (!same) body.replaceChildren(...next);
    if (drawn.size > 4 * (last - first) + 100) {
      const kept = new Set(next.map((one) => one.dataset.row));
      for (const id of drawn.keys()) if (!kept.has(id)) drawn.delete(id);
    }
    if (focused && document.activeElement?.dataset?.row !== focused) body.querySelector(`[data-row="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  function newRow(id) {
    return h("div.vrow", {
      role: "row", tabIndex: 0, "data-row": id,
      onkeydown: (event) => event.key === "Enter" && event.target === event.currentTarget && onopen?.(drawn.get(id)?.row),
    });
  }

  let frame = 0;
  const later = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      draw();
    });
  };
  scroller.addEventListener("scroll", later, { passive: true });
  body.addEventListener("focusin", (event) => event.target.closest("[data-row]")?.scrollIntoView({ block: "nearest" }));
  const observer = new ResizeObserver(later);
  observer.observe(scroller);
  drawHead();
  return {
    element,
    set(next) {
      rows = next;
      find = () => undefined;
      arrange();
    },
    refresh(next) {
      find = next;
      draw();
    },
    stop: () => observer.disconnect(),
  };
}
