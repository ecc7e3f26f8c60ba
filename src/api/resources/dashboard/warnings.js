// What could not be read in a repository, grouped by what is wrong.

import { request } from "./api.js";
import { fill, h } from "./dom.js";
import { number } from "./format.js";

/** More files of a group are not listed. */
const MOST = 50;

/** Shows the warnings below `path`. `onerror` shows an error. Returns how to stop. */
export function warningsPanel(panel, { path, onerror }) {
  const abort = new AbortController();
  fill(panel, h("p.note", null, "Loading…"));
  request(`${path}/warnings`, { signal: abort.signal }).then(({ warnings, total }) => {
    const groups = new Map();
    for (const one of warnings) {
      if (!groups.has(one.message)) groups.set(one.message, []);
      groups.get(one.message).push(one);
    }
    const sorted = [...groups].sort(([, a], [, b]) => b.length - a.length);
    const said = total === null ? "There are too many warnings to be read: see the result file." : total === 0 ? "Everything could be read." : `${number(total)} ${total === 1 ? "warning" : "warnings"}${total > warnings.length ? `, the first ${number(warnings.length)} below` : ""}. What these files say may be missing among the packages.`;
    fill(panel, h("p.note", { role: "status" }, said), sorted.map(([message, files]) => h(
      "details.cause", { open: sorted.length <= 3 },
      h("summary", { dir: "auto" }, h("span", { "aria-hidden": "true" }, "⚠ "), message, h("span.faint", null, ` · ${number(files.length)} ${files.length === 1 ? "place" : "places"}`)),
      h("ul", null, files.slice(0, MOST).map(({ file, line }) => h("li", { dir: "auto" }, file, line ? `:${line}` : ""))),
      files.length > MOST && h("p.faint", null, `and ${number(files.length - MOST)} more`),
    )));
  }).catch((error) => error.name !== "AbortError" && onerror(error));
  return () => abort.abort();
}
