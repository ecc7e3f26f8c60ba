// The packages of a repository: filtered, counted by ecosystem, and why each of them is there.

import { request } from "./api.js";
import { countsOf, drawBars } from "./bars.js";
import { jq } from "./commands.js";
import { copier, fill, h, text } from "./dom.js";
import { number } from "./format.js";

const PER_PAGE = 1000;
/** So many pages are read without being asked for. */
const PAGES = 5;
/** How many rows are drawn at once. */
const ROWS = 500;
/** More steps of a path are not drawn. */
const STEPS = 50;

/** Shows the packages below `path`. `onerror` shows an error. Returns how to stop. */
export function packagesPanel(panel, { path, job, index, parameters, onfilter, onerror }) {
  let [page, pages, total, all, room, asked] = [1, 1, 0, [], ROWS, PAGES];
  let requirements = null;
  const abort = new AbortController();
  const wanted = { q: "", ecosystem: "", scope: "", direct: "" };
  for (const key of Object.keys(wanted)) wanted[key] = parameters.get(key) ?? "";
  const filter = h("input", { type: "search", "data-filter": "", placeholder: "Filter by name", "aria-label": "Filter packages", value: wanted.q });
  const select = (key, label, choices) => {
    const element = h("select", { "aria-label": label });
    element.addEventListener("change", () => choose({ [key]: element.value }));
    const options = (values) => {
      fill(element, [["", `${label}: all`], ...values].map(([value, name]) => h("option", { value }, name)));
      if (wanted[key] && !values.some(([value]) => value === wanted[key])) element.append(h("option", { value: wanted[key] }, wanted[key]));
      element.value = wanted[key];
    };
    options(choices);
    return { element, options };
  };
  const ecosystem = select("ecosystem", "Ecosystem", []);
  const scope = select("scope", "Scope", []);
  const direct = select("direct", "Required", [["true", "directly"], ["false", "by others"]]);
  const chart = h("ul");
  const counted = h("p.faint", { role: "status" });
  const list = h("tbody");
  const more = h("button", { type: "button", hidden: true, onclick: showMore });
  const table = h("table", { "aria-label": "Packages" }, h("thead", null, h("tr", null, ["Package", "Version", "Ecosystem", "Scope", "Declared in", "Why"].map((name) => h("th", { scope: "col" }, name)))), list);
  fill(panel, h("div.tools", null, filter, ecosystem.element, scope.element, direct.element, copier("copy as jq", command, `Reads ${job}/results/repo_${index}.json: run it in the jobs folder of the server`)), chart, counted, h("div.scroll", null, table), more);

  function choose(values) {
    Object.assign(wanted, values);
    onfilter(wanted);
    room = ROWS;
    draw();
  }

  async function read() {
    try {
      while (page <= Math.min(pages, asked)) {
        const answer = await request(`${path}/packages?page=${page}&per_page=${PER_PAGE}`, { signal: abort.signal });
        all.push(...answer.packages);
        [page, pages, total, requirements] = [page + 1, answer.total_pages, answer.total, null];
        draw();
      }
    } catch (error) {
      if (error.name !== "AbortError") onerror(error);
    }
  }

  function showMore() {
    room += ROWS;
    if (room > all.length && page <= pages) {
      asked = page + PAGES - 1;
      void read();
    } else draw();
  }

  const fits = (one, except) => {
    const name = wanted.q.toLowerCase();
    return (!name || one.name.toLowerCase().includes(name))
      && (except === "ecosystem" || !wanted.ecosystem || one.ecosystem === wanted.ecosystem)
      && (!wanted.scope || (one.scope ?? "unknown") === wanted.scope)
      && (!wanted.direct || String(one.direct) === wanted.direct);
  };

  function draw() {
    const names = (values) => countsOf(values).map(([name, count]) => [name, `${name} (${number(count)})`]);
    ecosystem.options(names(all.map((one) => one.ecosystem)));
    scope.options(names(all.map((one) => one.scope ?? "unknown")));
    direct.element.value = wanted.direct;
    const counts = countsOf(all.filter((one) => fits(one, "ecosystem")).map((one) => one.ecosystem));
    const focused = chart.contains(document.activeElement);
    drawBars(chart, "Packages by ecosystem", counts, { selected: wanted.ecosystem, onselect: (name) => choose({ ecosystem: name }) });
    if (focused) (chart.querySelector('[aria-pressed="true"]') ?? chart.querySelector("button"))?.focus();
    const fitting = all.filter((one) => fits(one));
    requirements ??= requirementsOf(all);
    fill(list, fitting.slice(0, room).map((one) => h("tr", { "data-row": one.purl, tabIndex: 0 },
      h("td.name", { dir: "auto" }, one.name), h("td", { dir: "auto" }, one.version ?? one.specifier ?? "—"), h("td", null, one.ecosystem), h("td", null, one.scope ?? "—", one.direct ? " · direct" : ""),
      h("td.name", { dir: "auto" }, one.file, one.line ? `:${one.line}` : ""), h("td", null, why(one)))));
    const unread = all.length < total ? ` of the first ${number(all.length)}; ${number(total - all.length)} are not read yet` : "";
    const cut = fitting.length > room ? `, the first ${number(room)} below` : "";
    text(counted, fitting.length === total ? `${number(total)} packages${cut}` : `${number(fitting.length)} packages fit${cut}${unread || `, of ${number(total)}`}`);
    more.hidden = fitting.length <= room && all.length >= total;
    text(more, "More");
  }

  /** The shortest path from a direct requirement to a package, where the lock file contains it. */
  function why(one) {
    if (one.direct) return "the project requires it";
    const steps = [one];
    for (let by = requirements.via.get(one.purl); by && steps.length < STEPS; by = by.direct ? null : requirements.via.get(by.purl)) steps.unshift(by);
    if (!steps[0].direct) return h("span.faint", null, "the file does not say");
    const others = requirements.count.get(one.purl) - 1;
    const names = steps.map((step) => step.name);
    const short = names.length > 3 ? [names[0], `… ${number(names.length - 2)} …`, names.at(-1)] : names;
    const tree = steps.reduceRight((inner, step) => h("ol.tree", null, h("li", null, h(step === one ? "strong" : "span", { dir: "auto" }, step.name), " ", h("span.faint", { dir: "auto" }, step.version ?? "", step.direct ? `, the project requires it: ${step.file}${step.line ? `:${step.line}` : ""}` : ""), inner)), null);
    return h("details.why", null, h("summary", { dir: "auto" }, short.join(" → ")), tree, others > 0 && h("p.faint", null, `${number(others)} other packages require it, too`));
  }

  /** The same selection as a jq command over the result file. */
  function command() {
    const text = JSON.stringify;
    const tests = [
      wanted.q && `(.name | ascii_downcase | contains(${text(wanted.q.toLowerCase())}))`, wanted.ecosystem && `.ecosystem == ${text(wanted.ecosystem)}`,
      wanted.scope && `.scope == ${wanted.scope === "unknown" ? "null" : text(wanted.scope)}`, wanted.direct && `.direct == ${wanted.direct === "true"}`,
    ].filter(Boolean);
    const chosen = tests.length ? ` | select(${tests.join(" and ")})` : "";
    return jq(`.packages[]${chosen} | [.name, .version // .specifier, .ecosystem, .scope, .file] | @tsv`, job, `results/repo_${index}.json`, "-r");
  }

  let timer = null;
  filter.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => choose({ q: filter.value.trim() }), 100);
  });
  void read();
  return () => {
    abort.abort();
    clearTimeout(timer);
  };
}

/** For each package, by purl: through which one the shortest path leads to it, and how many require it. */
function requirementsOf(packages) {
  const byPurl = new Map();
  // The same package may be in several files; the entry with more members counts.
  for (const one of packages) if (!byPurl.get(one.purl)?.requires?.length || one.direct) byPurl.set(one.purl, one);
  const [via, count] = [new Map(), new Map()];
  for (const one of byPurl.values()) for (const purl of one.requires ?? []) count.set(purl, (count.get(purl) ?? 0) + 1);
  const reached = [...byPurl.values()].filter((one) => one.direct);
  const known = new Set(reached.map((one) => one.purl));
  for (const one of reached) {
    for (const purl of one.requires ?? []) {
      if (known.has(purl)) continue;
      known.add(purl);
      via.set(purl, one);
      if (byPurl.has(purl)) reached.push(byPurl.get(purl));
    }
  }
  return { via, count };
}
