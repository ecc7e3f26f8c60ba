// One repository: its stages, its log, its packages, its warnings, and the raw status.

import { link, problem, setParameters } from "./shell.js";
import { address, download, request } from "./api.js";
import { copier, fill, h, text } from "./dom.js";
import { REMEDIES, badge, duration, isFinal, number, time } from "./format.js";
import { seconds } from "./job.js";
import { follow } from "./live.js";

const TABS = [["packages", "Packages"], ["log", "Log"], ["status", "Status"]];

export function view(main, { job, index, parameters }) {
  const path = `scan/${encodeURIComponent(job)}/repositories/${index}`;
  let tab = parameters.get("tab") ?? "packages";
  let row = null;
  let leaveTab = () => {};
  const head = h("div");
  const tabs = h("div.tabs", { role: "tablist", "aria-label": "Views" });
  const panel = h("div.panel", { role: "tabpanel" });
  fill(main, h("p", null, h("a", { href: `#/jobs/${encodeURIComponent(job)}` }, "← job")), head, h("div.tools", null, tabs), panel);

  function drawHead() {
    const name = row.repo_name ?? `Repository ${index}`;
    document.title = `${name} – scanwatch`;
    const progress = row.progress;
    fill(
      head, h("h1", { dir: "auto" }, name),
      h("p.facts", null, badge(row.status), row.attempt > 1 && ` · attempt ${row.attempt}`, " · started ", time(row.started_at), " · took ", duration(seconds(row)), row.git_url && [" · ", h("span", { dir: "auto" }, row.git_url)]),
      progress && !isFinal(row.status) && h("p", null, Number.isFinite(progress.percentage) && h("progress", { max: "100", value: String(progress.percentage), "aria-label": "progress" }), " ", h("span", { dir: "auto" }, progress.message ?? progress.stage ?? "")),
      row.error && h("div.problem", null, h("p", { dir: "auto" }, h("strong", null, row.failure?.kind ?? row.status), ": ", row.error), REMEDIES[row.failure?.kind] && h("p.faint", null, REMEDIES[row.failure.kind])),
    );
  }

  function drawTabs() {
    fill(tabs, TABS.map(([name, label]) => h("button", {
      type: "button", role: "tab", "aria-selected": String(tab === name),
      onclick: () => {
        tab = name;
        setParameters({ tab: name === "packages" ? "" : name });
        drawTabs();
        drawPanel();
      },
    }, label)));
  }

  function drawPanel() {
    leaveTab();
    leaveTab = { packages: drawPackages, log: drawLog, status: drawStatus }[tab]?.() ?? (() => {});
  }

  function drawPackages() {
    let [page, all] = [1, []];
    const abort = new AbortController();
    const filter = h("input", { type: "search", "data-filter": "", placeholder: "Filter: name, ecosystem:npm, scope:dev, direct", "aria-label": "Filter packages" });
    const list = h("tbody");
    const counted = h("p.faint");
    const more = h("button", { type: "button", hidden: true, onclick: () => read() }, "More");
    const table = h("table", { "aria-label": "Packages" }, h("thead", null, h("tr", null, ["Package", "Version", "Ecosystem", "Scope", "Declared in", "Why"].map((name) => h("th", { scope: "col" }, name)))), list);
    fill(panel, h("div.tools", null, filter, counted), h("div.scroll", null, table), more);
    async function read() {
      try {
        const answer = await request(`${path}/packages?page=${page}&per_page=1000`, { signal: abort.signal });
        all.push(...answer.packages);
        page += 1;
        more.hidden = page > answer.total_pages;
        text(counted, `${number(all.length)} of ${number(answer.total)} packages`);
        draw();
      } catch (error) {
        if (error.name === "AbortError") return;
        const waits = error.status === 404 || error.status === 400;
        fill(panel, waits && !isFinal(row?.status) ? h("p.note", null, "The packages are listed when the scan is finished.") : problem(error, drawPanel));
      }
    }
    function draw() {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const fits = (one) => words.every((word) => {
        const [, key, value] = /^(ecosystem|scope):(.*)$/.exec(word) ?? [];
        if (key) return (one[key] ?? "") === value;
        return word === "direct" ? one.direct === true : one.name.toLowerCase().includes(word);
      });
      const shown = all.filter(fits).slice(0, 500);
      const requiredBy = new Map();
      for (const one of all) for (const purl of one.requires ?? []) {
        if (!requiredBy.has(purl)) requiredBy.set(purl, one);
      }
      fill(list, shown.map((one) => h("tr", { "data-row": one.purl, tabIndex: 0 },
        h("td.name", { dir: "auto" }, one.name), h("td", null, one.version ?? one.specifier ?? "—"), h("td", null, one.ecosystem), h("td", null, one.scope ?? "—", one.direct ? " · direct" : ""),
        h("td.name", { dir: "auto" }, one.file, one.line ? `:${one.line}` : ""), h("td", null, why(one, requiredBy)))));
    }
    filter.addEventListener("input", draw);
    void read();
    return () => abort.abort();
  }

  /** The path from a direct requirement to a package, where the lock file contains it. */
  function why(one, requiredBy) {
    if (one.direct) return "the project requires it";
    const steps = [];
    for (let by = requiredBy.get(one.purl); by && steps.length < 20 && !steps.includes(by); by = requiredBy.get(by.purl)) {
      steps.unshift(by);
      if (by.direct) break;
    }
    return steps.length ? h("span.why", { dir: "auto" }, steps.map((step) => step.name).join(" → "), " → ", h("strong", null, one.name)) : h("span.faint", null, "the file does not say");
  }

  function drawLog() {
    const abort = new AbortController();
    const search = h("input", { type: "search", "data-filter": "", placeholder: "Search the log", "aria-label": "Search the log" });
    const found = h("span.faint");
    const lines = h("ol.log", { tabIndex: 0, "aria-label": "Log" });
    const bottom = h("label.check", null, h("input", { type: "checkbox", checked: true }), " follow");
    fill(panel, h("div.tools", null, search, found, bottom, h("span.grow"), h("a", { href: address(`${path}/log`), download: `${job}-${index}.log` }, "Download")), lines);
    const MOST = 20_000;
    let rest = "";
    let first = 1;
    function add(chunk) {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop();
      for (const part of parts) lines.append(h("li", { dir: "auto" }, part));
      while (lines.children.length > MOST) {
        lines.firstChild.remove();
        first += 1;
      }
      lines.setAttribute("start", String(first));
      if (bottom.firstChild.checked) lines.scrollTop = lines.scrollHeight;
    }
    (async () => {
      try {
        const answer = await download(`${path}/log?tail=5000&follow=true`, { signal: abort.signal });
        const reader = answer.body.getReader();
        const decoder = new TextDecoder();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          add(decoder.decode(value, { stream: true }));
        }
        if (rest) add("\n");
      } catch (error) {
        if (error.name === "AbortError") return;
        if (!lines.children.length) fill(panel, error.status === 404 ? h("p.note", null, "There is no log.") : problem(error, drawPanel));
      }
    })();
    search.addEventListener("input", () => {
      const word = search.value.toLowerCase();
      let count = 0;
      let hit = null;
      for (const line of lines.children) {
        const fits = word && line.textContent.toLowerCase().includes(word);
        line.classList.toggle("hit", Boolean(fits));
        if (fits) {
          count += 1;
          hit ??= line;
        }
      }
      text(found, word ? `${number(count)} lines` : "");
      if (hit) {
        bottom.firstChild.checked = false;
        hit.scrollIntoView({ block: "center" });
      }
    });
    return () => abort.abort();
  }

  function drawStatus() {
    const file = `${job}/repo_${index}.json`;
    const raw = h("pre", { tabIndex: 0 });
    fill(panel, h("p", null, "File: ", h("code", null, file), " in the jobs folder ", copier("copy as jq", `jq . ${file}`), " ", copier("copy as curl", () => `curl ${address(path)}`)), raw);
    const draw = async () => {
      try {
        text(raw, JSON.stringify(await request(path), null, 2));
      } catch (error) {
        text(raw, error.message);
      }
    };
    void draw();
    statusChanged = draw;
    return () => (statusChanged = () => {});
  }

  let statusChanged = () => {};
  let last = "";
  async function refresh() {
    try {
      row = await request(path);
    } catch (error) {
      if (!row) fill(main, problem(error, refresh));
      return;
    }
    const began = last === "";
    const changed = last !== row.status;
    last = row.status;
    drawHead();
    if (began || (changed && tab === "packages")) drawPanel();
    statusChanged();
  }
  drawTabs();
  void refresh();
  const stop = follow(`scan/${encodeURIComponent(job)}/events`, {
    link,
    change(_, events) {
      if (row && events.some(({ event, data }) => event === "snapshot" || (event === "repository" && data.repo_index === index))) void refresh();
    },
  });
  return () => {
    stop();
    leaveTab();
  };
}

