// The list of jobs: live, filtered on the server, with a form to submit one.

import { link, problem, setParameters } from "./shell.js";
import { may, request } from "./api.js";
import { announce, fill, h, svg, text } from "./dom.js";
import { ago, at, badge, duration, number, place } from "./format.js";
import { onHealth } from "./health.js";
import { follow } from "./live.js";

const TABS = [["", "All"], ["running", "Running"], ["pending", "Pending"], ["failed", "Failed"], ["completed", "Completed"], ["archived", "Archived"]];
const PER_PAGE = 50;

export function view(main, { parameters }) {
  document.title = "Jobs – scanwatch";
  let status = parameters.get("status") ?? "";
  let query = parameters.get("q") ?? "";
  let page = Number(parameters.get("page")) || 1;
  let live = null;
  let listed = null;
  let places = new Map();
  let timer = null;

  // Made once: a button that is replaced loses the focus.
  const choices = TABS.map(([value, name]) => {
    const count = h("span.count");
    return { value, count, button: h("button", { type: "button", onclick: () => select({ status: value }) }, name, " ", count) };
  });
  const tabs = h("div.tabs", { role: "group", "aria-label": "Jobs by state" }, choices.map(({ button }) => button));
  const filter = h("input", {
    type: "search", "data-filter": "", placeholder: "Filter: id or URL, status:failed", value: query, "aria-label": "Filter jobs", maxlength: "200",
  });
  const body = h("tbody", { role: "rowgroup" }, h("tr", { role: "row" }, h("td.note", { colSpan: 7, role: "cell" }, "Waiting for the list of jobs…")));
  const table = h(
    // With roles, because a narrow window shows its rows as blocks.
    "table", { "aria-label": "Jobs", role: "table" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ["State", "What", "Progress", "Repositories", "Submitted", "Took", "Job"].map((name) => h(name === "Job" ? "th.id" : "th", { scope: "col", role: "columnheader" }, name)))),
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

  /** The whole list lives in the stream; a page behind the first, a filter, or archived jobs are asked of the server. */
  const isPlain = () => !query && page === 1 && status !== "archived";
  let asked = 0;
  async function refresh() {
    drawTabs();
    if (isPlain() && live?.known) {
      listed = null;
      return draw();
    }
    const mine = ++asked;
    const wanted = new URLSearchParams({ page: String(page), per_page: String(PER_PAGE) });
    if (status === "archived") wanted.set("archived", "true");
    else if (status) wanted.set("status", status);
    if (query) wanted.set("q", query);
    try {
      const answer = await request(`jobs?${wanted}`);
      if (mine !== asked) return;
      listed = answer;
      places = placesOf(answer.jobs);
      draw();
    } catch (error) {
      if (mine === asked) fill(body, h("tr", { role: "row" }, h("td", { colSpan: 7, role: "cell" }, problem(error, refresh))));
    }
  }

  function drawTabs() {
    for (const { value, count, button } of choices) {
      button.setAttribute("aria-pressed", String(value === status));
      // Archived jobs are not in the stream.
      text(count, value === "archived" ? "" : number(value ? live?.counts[value] ?? 0 : live?.total ?? 0));
    }
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
      const waits = job.status === "pending" ? places.get(job.job_id) : undefined;
      const print = JSON.stringify([job, waits]);
      if (known?.print === print) return known.row;
      const row = jobRow(job, waits);
      drawn.set(job.job_id, { print, row });
      return row;
    });
    for (const id of drawn.keys()) if (!jobs.some((job) => job.job_id === id)) drawn.delete(id);
    const same = body.children.length === next.length && next.every((row, index) => body.children[index] === row);
    if (!same) body.replaceChildren(...next);
    if (!jobs.length) {
      const what = query || status ? "No job fits." : "There are no jobs yet. Submit a repository or a group above, or: scanwatch submit URL";
      fill(body, h("tr", { role: "row" }, h("td.note", { colSpan: 7, role: "cell" }, what)));
    }
    if (focused) body.querySelector(`[data-row="${CSS.escape(focused)}"]`)?.focus();
    drawPages();
  }

  let pagesPrint = "";
  function drawPages() {
    const total = listed ? listed.total : status ? live?.counts?.[status] ?? 0 : live?.total ?? 0;
    const last = Math.max(1, Math.ceil(total / PER_PAGE));
    if (pagesPrint === `${total} ${page}`) return;
    pagesPrint = `${total} ${page}`;
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
        announce(`Job ${state.jobs.get(data.job_id)?.git_url || data.job_id}: ${data.status}`);
      }
      drawTabs();
      if (isPlain()) {
        listed = null;
        draw();
      } else if (listed) draw();
    },
  });

  /** The supervisor counts what finishes, for each minute: a page that was just opened has the whole hour, too. */
  function drawSpark(counts) {
    const [total, most] = [counts.reduce((sum, value) => sum + value, 0), Math.max(1, ...counts)];
    const first = 60 - counts.length;
    const bars = counts.map((value, index) => svg("rect", { x: (first + index) * 2, y: 18 - Math.ceil((17 * value) / most), width: 1.6, height: Math.ceil((17 * value) / most) }));
    const since = counts.length < 60 ? `in the ${number(counts.length)} min since the server started` : "in the last hour";
    const label = `Repositories finished per minute, at most ${number(Math.max(...counts))}`;
    const drawing = svg("svg", { viewBox: "0 0 120 18", width: 120, height: 18, role: "img", "aria-label": label }, svg("title", null, label), svg("line", { x1: 0, x2: 120, y1: 17.5, y2: 17.5 }), bars);
    fill(spark, drawing, " ", h("span.faint", null, `${number(total)} finished ${since}`));
  }

  function drawLoad(health) {
    if (!health) return fill(load, "");
    const { running, queued, slots, limited_by, finished_per_minute } = health.scanners;
    const squares = slots <= 16 && h("span.slots", { "aria-hidden": "true" }, "■".repeat(Math.min(running, slots)), "□".repeat(Math.max(0, slots - running)), " ");
    fill(load, squares, `${number(running)} of ${number(slots)} slots in use · ${number(queued)} ${queued === 1 ? "repository" : "repositories"} in the queue`, limited_by && ` · ${limited_by}`);
    drawSpark(finished_per_minute);
  }

  /** Which job is next is known to the supervisor alone; it is asked only while a job in sight waits. */
  async function askPlaces() {
    if (!rows().some((job) => job.status === "pending")) return places.clear();
    if (listed) return refresh();
    // The newest that wait: these are among the newest of all, which are in sight.
    const { jobs } = await request("jobs?status=pending&per_page=100");
    places = placesOf(jobs);
    draw();
  }
  // The stream begins with the list; where none comes, a request still gets it.
  if (isPlain()) drawTabs();
  else void refresh();
  const fallback = setTimeout(() => live?.known || listed || void refresh(), 2000);
  const stopHealth = onHealth((health) => {
    drawLoad(health);
    // Without an answer, the next turn asks again.
    void askPlaces().catch(() => {});
  });
  const clock = setInterval(() => {
    for (const cell of body.querySelectorAll("[data-since]")) text(cell, ago(cell.dataset.since));
    for (const cell of body.querySelectorAll("[data-took]")) text(cell, took({ created_at: cell.dataset.took }));
  }, 5000);
  return () => {
    stop();
    stopHealth();
    clearTimeout(fallback);
    clearInterval(clock);
    clearTimeout(timer);
  };
}

/** The end of an id: the beginnings of ids are times, and those of one day are alike. Commands find a job by it, too. */
const ending = (id) => (id.length > 16 ? `…${id.slice(-12)}` : id);

const placesOf = (jobs) => new Map(jobs.filter((job) => job.queue_position).map((job) => [job.job_id, job.queue_position]));

const CELL = { role: "cell" };

function jobRow(job, waits) {
  const open = `#/jobs/${encodeURIComponent(job.job_id)}`;
  const progress = Number.isFinite(job.progress) ? job.progress : 0;
  const name = job.git_url || job.group_url || "—";
  return h(
    "tr", { role: "row", tabIndex: 0, "data-row": job.job_id, onkeydown: (event) => event.key === "Enter" && (location.hash = open) },
    h("td", CELL, badge(job.status === "completed" && job.failed_repositories > 0 ? "completed_with_errors" : job.status), job.paused ? h("b", null, " · paused") : waits && h("span.faint", null, ` · ${place(waits)}`)),
    h("td.name", CELL, h("a", { href: open, dir: "auto", tabIndex: -1 }, name)),
    h("td", CELL, h("progress", { max: "100", value: String(progress), "aria-label": "progress" }), ` ${progress} %`),
    h("td", CELL, number(job.total_repositories), job.failed_repositories ? h("span.failed", null, " · ", h("span", { "aria-hidden": "true" }, "✗ "), `${number(job.failed_repositories)} failed`) : ""),
    h("td", CELL, h("time", { datetime: job.created_at, title: job.created_at, "data-since": job.created_at }, ago(job.created_at))),
    h("td", CELL, job.status === "pending" ? "—" : h("span", { "data-took": job.status === "running" ? job.created_at : null }, took(job))),
    h("td.id", { ...CELL, title: job.job_id }, ending(job.job_id)),
  );
}

/** From the submission to the end, or to now. */
const took = (job) => duration(((job.completed_at ? at(job.completed_at) : Date.now()) - at(job.created_at)) / 1000);

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
        check("force", "what has not changed, too"),
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
    for (const name of ["deep", "archives", "force"]) if (values[name].checked) body[name] = true;
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
