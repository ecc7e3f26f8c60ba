// The list of jobs: live, filtered on the server, with a form to submit one.

import { link, problem, setParameters } from "./shell.js";
import { may, request } from "./api.js";
import { announce, fill, h, svg, text } from "./dom.js";
import { ago, at, badge, number } from "./format.js";
import { follow } from "./live.js";

const TABS = [["", "All"], ["running", "Running"], ["pending", "Pending"], ["failed", "Failed"], ["completed", "Completed"]];
const PER_PAGE = 50;

export function view(main, { parameters }) {
  document.title = "Jobs – scanwatch";
  let status = parameters.get("status") ?? "";
  let query = parameters.get("q") ?? "";
  let page = Number(parameters.get("page")) || 1;
  let live = null;
  let listed = null;
  let timer = null;

  const tabs = h("div.tabs", { role: "group", "aria-label": "Jobs by state" });
  const filter = h("input", {
    type: "search", "data-filter": "", placeholder: "Filter: id or URL, status:failed", value: query, "aria-label": "Filter jobs", maxlength: "200",
  });
  const body = h("tbody");
  const table = h(
    "table", { "aria-label": "Jobs" },
    h("thead", null, h("tr", null, ["State", "What", "Progress", "Failed", "Submitted", "Job"].map((name) => h("th", { scope: "col" }, name)))),
    body,
  );
  const pages = h("p.pages");
  const load = h("p.faint.load");
  const spark = h("span.spark");
  fill(
    main,
    h("h1", null, "Jobs"),
    may("write") && submitForm(),
    h("div.tools", null, tabs, filter, h("span.grow"), spark, load),
    h("div.scroll", null, table),
    pages,
  );

  const select = (values) => {
    ({ status = status, query = query, page = 1 } = values);
    setParameters({ status, q: query, page: page > 1 ? String(page) : "" });
    void refresh();
  };
  filter.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const named = /(?:^|\s)status:(\w+)/.exec(filter.value);
      select({ status: named ? named[1] : status, query: filter.value.replace(/(?:^|\s)status:\w+/, " ").trim() });
    }, 200);
  });

  /** The whole list lives in the stream; a page behind the first, or a filter, is asked of the server. */
  const isPlain = () => !query && page === 1;
  let asked = 0;
  async function refresh() {
    drawTabs();
    if (isPlain() && live?.known) {
      listed = null;
      return draw();
    }
    const mine = ++asked;
    const wanted = new URLSearchParams({ page: String(page), per_page: String(PER_PAGE) });
    if (status) wanted.set("status", status);
    if (query) wanted.set("q", query);
    try {
      const answer = await request(`jobs?${wanted}`);
      if (mine !== asked) return;
      listed = answer;
      draw();
    } catch (error) {
      if (mine === asked) fill(body, h("tr", null, h("td", { colSpan: 6 }, problem(error, refresh))));
    }
  }

  function drawTabs() {
    const counts = live?.counts ?? {};
    fill(tabs, TABS.map(([value, name]) => h(
      "button", { type: "button", "aria-pressed": String(value === status), onclick: () => select({ status: value }) },
      name, " ", h("span.count", null, value ? number(counts[value] ?? 0) : number(live?.total ?? 0)),
    )));
  }

  function rows() {
    const all = listed ? listed.jobs.map((job) => live?.jobs.get(job.job_id) ?? job) : [...(live?.jobs.values() ?? [])];
    const fitting = listed ? all : all.filter((job) => !status || job.status === status);
    return listed ? fitting : fitting.sort((a, b) => (a.created_at < b.created_at ? 1 : -1)).slice(0, PER_PAGE);
  }

  const drawn = new Map();
  function draw() {
    const focused = document.activeElement?.closest?.("[data-row]")?.dataset.row;
    const jobs = rows();
    const next = jobs.map((job) => {
      const known = drawn.get(job.job_id);
      const print = JSON.stringify(job);
      if (known?.print === print) return known.row;
      const row = jobRow(job);
      drawn.set(job.job_id, { print, row });
      return row;
    });
    for (const id of drawn.keys()) if (!jobs.some((job) => job.job_id === id)) drawn.delete(id);
    const same = body.children.length === next.length && next.every((row, index) => body.children[index] === row);
    if (!same) body.replaceChildren(...next);
    if (!jobs.length) {
      const what = query || status ? "No job fits." : "There are no jobs yet. Submit a repository or a group above, or: scanwatch submit URL";
      fill(body, h("tr", null, h("td.note", { colSpan: 6 }, what)));
    }
    if (focused) body.querySelector(`[data-row="${CSS.escape(focused)}"]`)?.focus();
    drawPages();
  }

  function drawPages() {
    const total = listed ? listed.total : status ? live?.counts?.[status] ?? 0 : live?.total ?? 0;
    const last = Math.max(1, Math.ceil(total / PER_PAGE));
    if (last === 1) return fill(pages, total ? `${number(total)} jobs` : "");
    fill(
      pages,
      h("button", { type: "button", disabled: page <= 1, onclick: () => select({ page: page - 1 }) }, "Newer"),
      ` Page ${number(page)} of ${number(last)}, ${number(total)} jobs `,
      h("button", { type: "button", disabled: page >= last, onclick: () => select({ page: page + 1 }) }, "Older"),
    );
  }

  const stop = follow("events", {
    link,
    change(state, events) {
      live = state;
      for (const { event, data } of events) {
        if (event !== "end") continue;
        announce(`Job ${data.group_url ?? data.job_id}: ${data.status}`);
      }
      drawTabs();
      if (isPlain()) {
        listed = null;
        draw();
      } else if (listed) draw();
      drawSpark();
    },
  });

  function drawSpark() {
    const finished = [...(live?.jobs.values() ?? [])].map((job) => at(job.completed_at)).filter((moment) => Date.now() - moment < 3_600_000);
    const columns = Array.from({ length: 30 }, () => 0);
    for (const moment of finished) columns[29 - Math.min(29, Math.floor((Date.now() - moment) / 120_000))] += 1;
    const most = Math.max(1, ...columns);
    const bars = columns.map((value, index) => svg("rect", { x: index * 4, y: 18 - (16 * value) / most, width: 3, height: (16 * value) / most }));
    const label = `${finished.length} of the newest jobs finished within the last hour`;
    fill(spark, svg("svg", { viewBox: "0 0 120 18", width: 120, height: 18, role: "img", "aria-label": label }, svg("title", null, label), bars));
  }

  async function drawLoad() {
    try {
      const { scanners } = await request("health");
      text(load, `${number(scanners.running)} scanning, ${number(scanners.queued)} in the queue`);
    } catch {
      text(load, "");
    }
  }
  void refresh();
  void drawLoad();
  const clock = setInterval(() => {
    for (const cell of body.querySelectorAll("[data-since]")) text(cell, ago(cell.dataset.since));
    void drawLoad();
  }, 5000);
  return () => {
    stop();
    clearInterval(clock);
    clearTimeout(timer);
  };
}

function jobRow(job) {
  const open = `#/jobs/${encodeURIComponent(job.job_id)}`;
  const progress = Number.isFinite(job.progress) ? job.progress : 0;
  const name = job.git_url || job.group_url || "—";
  return h(
    "tr", { tabIndex: 0, "data-row": job.job_id, onkeydown: (event) => event.key === "Enter" && (location.hash = open) },
    h("td", null, badge(job.status)),
    h("td.name", null, h("a", { href: open, dir: "auto", tabIndex: -1 }, name)),
    h("td", null, h("progress", { max: "100", value: String(progress), "aria-label": "progress" }), ` ${progress} %`),
    h("td", null, job.failed_repositories ? h("span.failed", null, `${number(job.failed_repositories)} of ${number(job.total_repositories)}`) : h("span.faint", null, number(job.total_repositories))),
    h("td", null, h("time", { datetime: job.created_at, title: job.created_at, "data-since": job.created_at }, ago(job.created_at))),
    h("td.id", null, job.job_id),
  );
}

/** The form: the answer of the gate appears at the field that it is about. */
function submitForm() {
  const said = h("p.error", { role: "alert", id: "submit-error" });
  const url = h("input", { name: "git_url", type: "text", required: true, placeholder: "https://github.com/owner/name, or a group", "aria-label": "URL", "aria-describedby": "submit-error", autocomplete: "off", spellcheck: "false" });
  const check = (name, label, checked) => h("label.check", null, h("input", { name, type: "checkbox", checked: Boolean(checked) }), " ", label);
  const short = (name, label, placeholder) => h("label", null, label, h("input", { name, type: "text", placeholder, autocomplete: "off" }));
  const form = h(
    "form.submit", null,
    h("div.line", null, url, h("button.primary", { type: "submit" }, "Scan")),
    said,
    h(
      "details", null, h("summary", null, "Options"),
      h("div.options", null,
        short("ref", "Branch, tag or commit", "the default branch"),
        short("include", "Only repositories (of a group)", "web/*, *-api"),
        short("exclude", "Without repositories (of a group)", "sandbox/*"),
        short("exclude_paths", "Without paths", "testdata, docs/*"),
        h("label", null, "Retries", h("input", { name: "retries", type: "number", min: "0", max: "10", value: "0" })),
        check("include_subgroups", "subgroups", true),
        check("deep", "imports of sources"),
        check("archives", "archives"),
      ),
    ),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = form.elements;
    const list = (name) => values[name].value.split(",").map((one) => one.trim()).filter(Boolean);
    const body = { git_url: url.value };
    if (values.ref.value) body.ref = values.ref.value;
    for (const name of ["include", "exclude", "exclude_paths"]) if (list(name).length) body[name] = list(name);
    if (Number(values.retries.value)) body.retries = Number(values.retries.value);
    if (!values.include_subgroups.checked) body.include_subgroups = false;
    for (const name of ["deep", "archives"]) if (values[name].checked) body[name] = true;
    text(said, "");
    url.removeAttribute("aria-invalid");
    for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
    try {
      const { job_id } = await request("scan", { method: "POST", body });
      location.hash = `#/jobs/${encodeURIComponent(job_id)}`;
    } catch (error) {
      text(said, error.message);
      const named = error.fields[0]?.loc?.at(-1);
      (values[named] ?? url).setAttribute("aria-invalid", "true");
      (values[named] ?? url).focus();
    }
  });
  return form;
}
