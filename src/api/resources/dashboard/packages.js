// Who uses a package: over all repositories of a job, also while it runs.

import { link, setParameters } from "./shell.js";
import { request } from "./api.js";
import { countsOf, drawBars } from "./bars.js";
import { fill, h, text } from "./dom.js";
import { number } from "./format.js";
import { repositoryAddress } from "./job.js";

export function view(main, { job, parameters }) {
  document.title = "Packages – scanwatch";
  link("");
  const name = h("input", { type: "search", "data-filter": "", placeholder: "Name of a package, such as log4j-core", value: parameters.get("name") ?? "", "aria-label": "Name of a package" });
  const ecosystem = h("input", { type: "text", placeholder: "ecosystem", value: parameters.get("ecosystem") ?? "", "aria-label": "Ecosystem" });
  const said = h("p.faint", { role: "status" });
  const chart = h("ul");
  const list = h("tbody");
  const shown = [];
  const more = h("button", { type: "button", hidden: true }, "More");
  const form = h("form.line", null, name, ecosystem, h("button.primary", { type: "submit" }, "Find"));
  fill(main, h("p", null, h("a", { href: `#/jobs/${encodeURIComponent(job)}` }, "← job")), h("h1", null, "Who uses a package"), form, said, chart,
    h("div.scroll", null, h("table", { "aria-label": "Repositories with the package" }, h("thead", null, h("tr", null, ["Repository", "Package", "Version", "Scope", "Declared in"].map((one) => h("th", { scope: "col" }, one)))), list)), more);
  let page = 1;
  let abort = new AbortController();
  async function find(next) {
    abort.abort();
    abort = new AbortController();
    page = next;
    if (!name.value) return text(said, "");
    if (page === 1) {
      fill(list);
      shown.length = 0;
    }
    setParameters({ name: name.value, ecosystem: ecosystem.value });
    text(said, "Reading the results…");
    const wanted = new URLSearchParams({ name: name.value, page: String(page), per_page: "500" });
    if (ecosystem.value) wanted.set("ecosystem", ecosystem.value);
    try {
      const answer = await request(`scan/${encodeURIComponent(job)}/packages?${wanted}`, { signal: abort.signal });
      for (const one of answer.packages) {
        list.append(h("tr", { "data-row": `${one.repo_index} ${one.purl} ${one.file} ${one.line}`, tabIndex: 0 },
          h("td.name", null, h("a", { href: repositoryAddress(job, one), dir: "auto" }, one.repo_name)), h("td.name", { dir: "auto" }, one.name), h("td", null, one.version ?? one.specifier ?? "—"), h("td", null, one.scope ?? "—", one.direct ? " · direct" : ""), h("td.name", { dir: "auto" }, one.file, one.line ? `:${one.line}` : "")));
      }
      shown.push(...answer.packages.map((one) => `${one.ecosystem} ${one.version ?? one.specifier ?? "without a version"}`));
      drawBars(chart, "What is listed, by ecosystem and version", countsOf(shown));
      more.hidden = page >= answer.total_pages;
      const unknown = answer.repositories_missing ? `; ${number(answer.repositories_missing)} repositories are not finished or failed, so nothing is known about them` : "";
      text(said, `${number(answer.total)} found in ${number(answer.repositories_searched)} repositories${unknown}.`);
    } catch (error) {
      if (error.name !== "AbortError") text(said, error.message);
    }
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void find(1);
  });
  more.addEventListener("click", () => void find(page + 1));
  void find(1);
  name.focus();
  return () => abort.abort();
}
