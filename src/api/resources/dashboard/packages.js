// Who uses a package: over all repositories of a job, also while it runs.

import { link, setParameters } from "./shell.js";
import { request } from "./api.js";
import { countsOf, drawBars } from "./bars.js";
import { fill, h, text } from "./dom.js";
import { badge, number } from "./format.js";
import { repositoryAddress } from "./job.js";

export function view(main, { job, parameters }) {
  document.title = "Packages – scanwatch";
  link("");
  const name = h("input", { type: "search", "data-filter": "", placeholder: "Name of a package, or a part of it", value: parameters.get("name") ?? parameters.get("fragment") ?? "", "aria-label": "Name of a package" });
  const whole = h("input", { type: "checkbox", checked: parameters.has("name") });
  const range = h("input", { type: "text", placeholder: "versions, such as >=2.0,<2.17.1", value: parameters.get("range") ?? "", "aria-label": "Range of versions" });
  const ecosystem = h("input", { type: "text", placeholder: "ecosystem", value: parameters.get("ecosystem") ?? "", "aria-label": "Ecosystem" });
  const said = h("p.faint", { role: "status" });
  const unknown = h("div");
  const chart = h("ul");
  const list = h("tbody");
  const shown = [];
  const more = h("button", { type: "button", hidden: true }, "More");
  const form = h("form.line", null, name, h("label", null, whole, " whole name"), range, ecosystem, h("button.primary", { type: "submit" }, "Find"));
  fill(main, h("p", null, h("a", { href: `#/jobs/${encodeURIComponent(job)}` }, "← job")), h("h1", null, "Who uses a package"), form, said, unknown, chart,
    h("div.scroll", null, h("table", { "aria-label": "Repositories with the package" }, h("thead", null, h("tr", null, ["Repository", "Package", "Version", "Scope", "Declared in"].map((one) => h("th", { scope: "col" }, one)))), list)), more);
  let page = 1;
  let abort = new AbortController();
  async function find(next) {
    abort.abort();
    abort = new AbortController();
    page = next;
    if (page === 1) {
      fill(list);
      shown.length = 0;
    }
    const search = { [whole.checked ? "name" : "fragment"]: name.value, range: range.value, ecosystem: ecosystem.value };
    setParameters({ name: "", fragment: "", ...search });
    text(said, "Reading the results…");
    const wanted = new URLSearchParams({ page: String(page), per_page: "500" });
    for (const [key, value] of Object.entries(search)) if (value) wanted.set(key, value);
    try {
      const answer = await request(`scan/${encodeURIComponent(job)}/packages?${wanted}`, { signal: abort.signal });
      for (const one of answer.packages) {
        list.append(h("tr", { "data-row": `${one.repo_index} ${one.purl} ${one.file} ${one.line}`, tabIndex: 0 },
          h("td.name", null, h("a", { href: repositoryAddress(job, one), dir: "auto" }, one.repo_name)), h("td.name", { dir: "auto" }, one.name), h("td", null, one.version ?? one.specifier ?? "—"), h("td", null, one.scope ?? "—", one.direct ? " · direct" : ""), h("td.name", { dir: "auto" }, one.file, one.line ? `:${one.line}` : "")));
      }
      shown.push(...answer.packages.map((one) => `${one.ecosystem} ${one.version ?? one.specifier ?? "without a version"}`));
      if (whole.checked && name.value) drawBars(chart, "What is listed, by ecosystem and version", countsOf(shown));
      else drawBars(chart, "Packages found, by ecosystem", Object.entries(answer.by_ecosystem).sort(([, x], [, y]) => y - x), { selected: ecosystem.value, onselect: select });
      more.hidden = page >= answer.total_pages;
      const unordered = answer.without_version ? `; ${number(answer.without_version)} more have no exact version to compare` : "";
      text(said, `${number(answer.total)} found in ${number(answer.repositories_found)} of ${number(answer.repositories_searched)} repositories${unordered}.`);
      fill(unknown, answer.repositories_missing > 0 && h("details", null, h("summary", null, `Nothing is known about ${number(answer.repositories_missing)} repositories, which are not finished or failed`),
        h("ul", null, answer.missing.map((one) => h("li", { dir: "auto" }, badge(one.status), " ", one.repo_name)), answer.missing.length < answer.repositories_missing && h("li", null, "…"))));
    } catch (error) {
      if (error.name !== "AbortError") text(said, error.message);
    }
  }
  function select(one) {
    ecosystem.value = one;
    void find(1);
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
