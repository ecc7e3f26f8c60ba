// Counts as bars: each with its name and number, so that nothing depends on colours or lengths.

import { fill, h } from "./dom.js";
import { number } from "./format.js";

/** More bars than this are one. */
const MOST = 12;

/** How often each value occurs, most frequent first. */
export function countsOf(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
}

/** Draws counts, `[name, count][]`. With `onselect`, each bar is a button; `selected` is the one that is pressed. */
export function drawBars(element, label, counts, { selected, onselect } = {}) {
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  const others = counts.slice(MOST).reduce((sum, [, count]) => sum + count, 0);
  const most = Math.max(1, others, ...counts.map(([, count]) => count));
  const bar = ([name, count], choice) => {
    const part = h("span.length");
    part.style.inlineSize = `${(100 * count) / most}%`;
    const inner = [h("span.of", { dir: "auto" }, name), h("span.track", { "aria-hidden": "true" }, part), h("span.many", null, `${number(count)} · ${Math.round((100 * count) / total)} %`)];
    if (!choice) return h("li", null, h("span.row", null, inner));
    const is = name === selected;
    return h("li", null, h("button.row", { type: "button", "aria-pressed": String(is), onclick: () => onselect(is ? "" : name) }, inner));
  };
  element.className = "bars";
  element.setAttribute("aria-label", label);
  fill(element, counts.slice(0, MOST).map((one) => bar(one, onselect)), others > 0 && bar([`${number(counts.length - MOST)} others`, others], null));
}
