// One job: how far it is, what failed and why, where the time goes, every repository.

import { link, problem, setParameters } from "./shell.js";
import { address, may, request } from "./api.js";
import { curl, jq } from "./commands.js";
import { announce, confirm, copier, fill, h, show, text } from "./dom.js";
import { band } from "./estimate.js";
import { REMEDIES, ago, at, badge, duration, isFinal, kindOf, number, place, seconds, signOf, time } from "./format.js";
import { follow } from "./live.js";
import { apply, keyOf, newState } from "./reduce.js";
import { virtualTable } from "./table.js";
import { tabList } from "./tabs.js";
import { timeline } from "./timeline.js";

const VERBS = { Pause: "Running scans end on their own, nothing more is started", Resume: "Start what waits", Bump: "Before the other jobs of its user" };
const PARTS = [["completed", "done", "completed"], ["failed", "failed", "failed"], ["in_progress", "running", "running"], ["pending", "waiting", "pending"]];

/** More repositories than this are drawn less often. */
const MANY = 1000;

export function view(main, { job: id, parameters }) {
  const path = `scan/${encodeURIComponent(id)}`;
  document.title = `${id} – scanwatch`;
  let state = null;
  let tab = parameters.get("tab") === "timeline" ? "timeline" : "repositories";
  let query = parameters.get("q") ?? "";
  let queued;
  let current = "";
  let newsShown = "";
  /** The range of the time left. */
  let range = null;
  let stop = () => {};

  const head = h("div.jobhead", null, h("p.note", { role: "status" }, "Waiting for the state of the job…"));
  const bar = h("div.bar-of-states");
  const legend = h("p.legend");
  const verbs = h("p.actions");
  const failures = h("section", { "aria-label": "Failures" });
  const filter = h("input", { type: "search", "data-filter": "", placeholder: "Filter: name, status:failed, cause:clone", value: query, "aria-label": "Filter repositories" });
  const counted = h("span.faint");
  const panel = h("div.panel", { role: "tabpanel" });
  const tabs = tabList({
    label: "Views", tabs: [["repositories", "Repositories"], ["timeline", "Timeline"]], selected: tab, panel,
    onselect(name) {
      tab = name;
      setParameters({ tab: name === "timeline" ? name : "" });
      drawPanel();
    },
  });
  fill(main, head, bar, legend, verbs, failures, h("div.tools", null, tabs, h("a", { href: `#/jobs/${encodeURIComponent(id)}/packages` }, "Packages"), h("a", { href: `#/jobs/${encodeURIComponent(id)}/changes` }, "Changes"), filter, counted), panel);

  const table = virtualTable({
    label: "Repositories", sort: 0,
    key: keyOf,
    onopen: (row) => Number.isInteger(row?.repo_index) && (location.hash = repositoryAddress(id, row)),
    columns: [
      { name: "State", cell: (row) => badge(row.status), sort: (row) => order(row.status) },
      { name: "Repository", cell: (row) => named(id, row), sort: (row) => row.repo_name ?? "" },
      { name: "What happens", cell: what, sort: (row) => row.error ?? row.progress?.message ?? "" },
      { name: "Time", numeric: true, cell: (row) => h("span", { "data-index": row.repo_index }, duration(seconds(row))), sort: (row) => seconds(row) || 0 },
      { name: "Changed", cell: (row) => (row.last_update ? h("span", { "data-since": row.last_update }, ago(row.last_update)) : "—"), sort: (row) => row.last_update ?? "" },
    ],
  });
  const lanes = timeline({ onopen: (row) => (location.hash = repositoryAddress(id, row)) });

  function fitting() {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...(state?.rows.values() ?? [])];
    if (!words.length) return rows;
    return rows.filter((row) => words.every((word) => {
      const [, key, value] = /^(status|cause):(.*)$/.exec(word) ?? [];
      if (key === "status") return row.status === value || kindOf(row.status) === value;
      if (key === "cause") return row.failure?.kind === value;
      return (row.repo_name ?? "").toLowerCase().includes(word);
    }));
  }

  function drawPanel() {
    const rows = fitting();
    text(counted, query ? `${number(rows.length)} of ${number(state?.rows.size ?? 0)}` : "");
    if (tab === "timeline") {
      if (panel.firstChild !== lanes.element) fill(panel, lanes.element);
      lanes.set(rows, state?.job);
    } else {
      if (panel.firstChild !== table.element) fill(panel, table.element);
      table.set(rows);
    }
  }

  function drawHead() {
    const job = state.job;
    const url = job.group_url ?? id;
    if (!head.querySelector("h1")) {
      // What can have the focus is made once.
      const listed = '[.repo_index, .repo_name, .status, .failure.kind // "", .failure.detail // ""] | @tsv';
      fill(
        head, h("h1", { dir: "auto" }, url), h("p.facts", { id: "facts" }),
        h("p.facts", null, h("code", null, id), " ", copier("copy id", id), " ", copier("copy as curl", () => curl(`${path}?view=summary`)), " ", copier("copy as jq", () => jq(listed, id, "repo_*.json", "-r"), `Reads ${id}/repo_*.json: run it in the jobs folder of the server`)),
        h("div", { id: "news-of-job" }),
      );
    }
    const { completed = 0, failed = 0, total_repositories: total = 0 } = job.summary ?? {};
    const done = isFinal(job.status) ? signOf(job.status) : total ? `${Math.floor((100 * (completed + failed)) / total)} %` : signOf(job.status);
    document.title = `${done} ${url} – scanwatch`;
    fill(
      head.querySelector("#facts"), badge(job.status), " · ",
      job.completed_at ? ["finished ", time(job.completed_at)] : ["changed ", h("span", { "data-since": job.last_update ?? "" }, ago(job.last_update))],
      " · ", h("span", { id: "elapsed" }, lasted(job)),
      job.archived && h("b", null, " · archived: the files were removed after the retention time, the results are kept"),
      job.paused && !isFinal(job.status) && h("b", null, " · paused"), job.waiting_for && [" · waits for ", job.waiting_for], h("span", { id: "queue" }, queued && waits() ? ` · ${place(queued)}` : ""),
    );
    const news = JSON.stringify([job.error, job.warnings, job.discovery_errors]);
    if (news === newsShown) return;
    newsShown = news;
    fill(
      head.querySelector("#news-of-job"), job.error && h("p.error", { dir: "auto" }, job.error),
      unlisted(job),
      job.warnings?.length ? h("details", null, h("summary", null, `${job.warnings.length} files cannot be read`), h("ul", null, job.warnings.map((one) => h("li", null, one.file ? `${one.file}: ${one.message ?? ""}` : String(one))))) : null,
    );
  }

  /** What could not be listed. */
  function unlisted({ discovery_errors: errors = [], discovery_errors_total: total = 0 }) {
    if (!total) return null;
    const more = errors.length && total > errors.length ? ` (the first ${number(errors.length)})` : "";
    return h("details", null, h("summary", null, `${number(total)} errors while listing the repositories${more}: some repositories may be missing`), h("ul", null, errors.map((one) => h("li", { dir: "auto" }, `${one.request ?? ""}: ${one.error ?? ""}`))));
  }

  /** Whether nothing of the job has started. */
  function waits() {
    const { completed = 0, failed = 0, in_progress = 0 } = state?.job?.summary ?? {};
    return Boolean(state?.job) && !isFinal(state.job.status) && completed + failed + in_progress === 0;
  }

  /** The place in the queue, asked of the supervisor while nothing of the job has started. */
  async function askPlace() {
    // Without an answer, the next turn asks again.
    queued = waits() ? (await request(`jobs/${encodeURIComponent(id)}`).catch(() => null))?.queue_position : undefined;
    const shown = main.querySelector("#queue");
    if (shown) text(shown, queued && waits() ? ` · ${place(queued)}` : "");
  }

  function drawBar() {
    const summary = state.job.summary ?? {};
    const total = summary.total_repositories || 1;
    if (!bar.firstChild) fill(bar, PARTS.map(([, kind]) => h(`span.part.${kind}`)));
    PARTS.forEach(([member, , name], index) => {
      const value = summary[member] ?? 0;
      bar.children[index].style.flexGrow = String(value);
      bar.children[index].hidden = !value;
      bar.children[index].title = `${number(value)} ${name}`;
    });
    bar.setAttribute("role", "img");
    const words = PARTS.map(([member, , name]) => `${number(summary[member] ?? 0)} ${name}`);
    bar.setAttribute("aria-label", `Of ${number(total)} repositories: ${words.join(", ")}`);
    fill(legend, PARTS.map(([, kind], index) => [index ? " · " : "", h(`span.state.${kind}`, null, words[index])]), ` · of ${number(summary.total_repositories ?? 0)}`, summary.reused ? ` · ${number(summary.reused)} unchanged and reused` : "", discovering(), left());
  }

  /** That the repositories are still being listed, and how many entries were found; how many were skipped, and why, once the job has its report. */
  function discovering() {
    const { found = 0, skipped = 0 } = state.job.totals ?? {};
    const reasons = Object.entries(state.job.report?.skipped ?? {}).slice(0, 3).map(([reason, count]) => `${number(count)}: ${reason}`);
    return [state.job.discovering && ` · discovering, ${number(found)} found`, skipped > 0 && ` · ${number(skipped)} skipped`, reasons.length > 0 && ` (${reasons.join("; ")})`];
  }

  /** The estimated time left: by the pace so far, and how far it may be off by how long the finished scans took. */
  function left() {
    const eta = state.job.eta_seconds;
    if (!Number.isFinite(eta) || isFinal(state.job.status)) return "";
    const title = "By the pace so far. The range follows from how much the durations of the finished scans differ.";
    const words = range ? [` (${duration(Math.min(range[0], eta))} to ${duration(Math.max(range[1], eta))})`] : "";
    return h("span.estimate", { title }, ` · estimated: ${duration(eta)} left`, words);
  }

  let verbsPrint = "";
  function drawVerbs() {
    const final = isFinal(state.job.status);
    const failed = state.job.summary?.failed ?? 0;
    // A button that is replaced loses the focus.
    const paused = Boolean(state.job.paused);
    const print = `${final} ${failed} ${paused} ${state.job.archived}`;
    if (verbsPrint === print) return;
    verbsPrint = print;
    const act = async (what, send) => {
      try {
        await send();
        announce(`${what}: done`);
      } catch (error) {
        show(what, h("p.error", null, error.message));
      }
    };
    fill(
      verbs,
      may("write") && !final && h("button", {
        type: "button",
        onclick: async () => {
          const running = state.job.summary?.in_progress ?? 0;
          const sure = await confirm({ title: "Cancel this job?", lines: [`${number(running)} running scans end, ${number(state.job.summary?.pending ?? 0)} never start. What is finished stays.`], verb: "Cancel the job" });
          if (sure) await act("Cancel", () => request(`${path}/cancel`, { method: "POST" }));
        },
      }, "Cancel"),
      may("write") && !final && [paused ? "Resume" : "Pause", "Bump"].map((verb) => h("button", { type: "button", title: VERBS[verb], onclick: () => act(verb, () => request(`${path}/${verb.toLowerCase()}`, { method: "POST" })) }, verb)),
      may("write") && final && failed > 0 && !state.job.archived && h("button", { type: "button", onclick: () => retry() }, `Retry ${number(failed)} failed`),
      may("admin") && h("button.danger", {
        type: "button",
        onclick: async () => {
          const sure = await confirm({ title: "Delete this job?", lines: [`Status, results, logs and bills of materials of ${number(state.rows.size)} repositories are removed. They cannot be brought back.`, final ? "" : "Running scans end first."], verb: "Delete for good" });
          if (sure) await act("Delete", async () => {
            await request(path, { method: "DELETE" });
            location.hash = "#/";
          });
        },
      }, "Delete"),
      final && h("span.downloads", null, "Download: ", [["CSV", `jobs/${encodeURIComponent(id)}/results?format=csv`, `${id}.csv`], ["JSON", `jobs/${encodeURIComponent(id)}/results`, `${id}.json`], ["CycloneDX", `${path}/sbom`, `${id}.cdx.json`], ["SPDX", `${path}/sbom?format=spdx`, `${id}.spdx.json`]].map(([name, where, file], index) => [index ? " · " : "", h("a", { href: address(where), download: file }, name)])),
    );
  }

  /** Scans what failed again: of one cause, or all of it. */
  async function retry(cause) {
    try {
      await request(`${path}/retry${cause ? `?cause=${cause}` : ""}`, { method: "POST" });
      announce(cause ? `The repositories that failed by ${cause} are scanned again` : "The failed repositories are scanned again");
      begin();
    } catch (error) {
      show("Retry", h("p.error", null, error.message));
    }
  }

  let failuresPrint = "";
  function drawFailures() {
    const groups = new Map();
    for (const row of state.rows.values()) {
      if (kindOf(row.status) !== "failed") continue;
      const cause = row.failure?.kind ?? row.status;
      if (!groups.has(cause)) groups.set(cause, []);
      groups.get(cause).push(row);
    }
    const final = isFinal(state.job.status);
    const print = JSON.stringify([final, state.job.archived, [...groups].map(([cause, rows]) => [cause, rows.length, rows[0].error])]);
    if (print === failuresPrint) return;
    const opened = new Set([...failures.querySelectorAll("details[open]")].map((one) => one.dataset.cause));
    const first = failuresPrint === "";
    failuresPrint = print;
    const sorted = [...groups].sort(([, a], [, b]) => b.length - a.length);
    fill(failures, sorted.length ? h("h2", null, "Failures") : null, sorted.map(([cause, rows]) => h(
      "details.cause", { "data-cause": cause, open: first ? sorted.length === 1 && rows.length <= 3 : opened.has(cause) },
      h("summary", null, badge("failed"), ` ${cause}: ${number(rows.length)} `, h("span.faint", null, REMEDIES[cause] ?? "")),
      h("ul", null, rows.slice(0, 20).map((row) => h("li", null, h("a", { href: repositoryAddress(id, row), dir: "auto" }, row.repo_name), ": ", h("span", { dir: "auto" }, row.error ?? row.status)))),
      h("p.actions", null,
        rows.length > 20 && h("button", { type: "button", onclick: () => {
          query = `cause:${cause}`;
          filter.value = query;
          setParameters({ q: query });
          drawPanel();
        } }, `All ${number(rows.length)} in the table`),
        // What the policy refuses would be refused again.
        final && !state.job.archived && may("write") && cause in REMEDIES && cause !== "refused" && h("button", { type: "button", onclick: () => retry(cause) }, `Retry ${number(rows.length)} of ${cause}`)),
    )));
  }

  /** Draws what depends on all repositories: of many of them once a second, and in between only the rows in sight. */
  let [whole, later] = [0, null];
  function drawSoon() {
    const pause = state.rows.size > MANY && !isFinal(state.job.status) ? whole + 1000 - Date.now() : 0;
    if (pause <= 0) {
      clearTimeout(later);
      later = null;
      whole = Date.now();
      range = band(state.rows.values());
      drawBar();
      drawFailures();
      drawPanel();
      return;
    }
    drawBar();
    if (tab === "repositories") table.refresh((key) => state.rows.get(key));
    later ??= setTimeout(() => {
      later = null;
      drawSoon();
    }, pause);
  }

  filter.addEventListener("input", () => {
    query = filter.value;
    setParameters({ q: query });
    drawPanel();
  });

  let wasFinal = null;
  function begin() {
    stop();
    stop = follow(`${path}/events`, {
      link(now) {
        link(now);
        current = now;
        if (now === "gone") void showArchived();
      },
      change: draw,
    });
  }

  function draw(next) {
    const began = !state?.job;
    state = next;
    if (!state.job) return;
    if (began) void askPlace();
    const final = isFinal(state.job.status);
    if (wasFinal === false && final) announce(`The job is finished: ${state.job.status.replaceAll("_", " ")}`);
    wasFinal = final;
    drawHead();
    drawVerbs();
    drawSoon();
  }

  /** The job has no files any more: shows what is archived of it, if anything. */
  async function showArchived() {
    try {
      const data = await request(`${path}?archived=true`);
      link("archived");
      draw(apply(newState(`${path}/events`), { event: "snapshot", data }));
    } catch (error) {
      fill(main, problem(error, showArchived));
    }
  }
  begin();
  const asking = setInterval(() => void askPlace(), 5000);
  const clock = setInterval(() => {
    for (const cell of main.querySelectorAll("[data-since]")) text(cell, ago(cell.dataset.since));
    // Without a connection nobody knows whether anything still runs: its time stands still.
    if (!state?.job || isFinal(state.job.status) || current !== "live") return;
    text(main.querySelector("#elapsed"), lasted(state.job));
    for (const cell of main.querySelectorAll("[data-index]")) {
      const row = state.rows.get(Number(cell.dataset.index));
      if (row && kindOf(row.status) === "running") text(cell, duration(seconds(row)));
    }
    if (tab === "timeline") lanes.tick();
  }, 1000);
  return () => {
    stop();
    clearTimeout(later);
    clearInterval(clock);
    clearInterval(asking);
    table.stop();
    lanes.stop();
  };
}

/** The name of a repository, with a link to it once it has a number. */
function named(job, row) {
  const name = row.repo_name ?? `Repository ${row.repo_index}`;
  const link = { href: repositoryAddress(job, row), dir: "auto", tabIndex: -1 };
  return Number.isInteger(row.repo_index) ? h("a", link, name) : h("span", { dir: "auto" }, name);
}

export const repositoryAddress = (job, row) => `#/jobs/${encodeURIComponent(job)}/${row.repo_index}`;

const ORDER = { failed: 0, running: 1, partly: 2, waiting: 3, done: 4 };
const order = (status) => ORDER[kindOf(status)] ?? 5;

const lasted = (job) => `${isFinal(job.status) ? "took" : "for"} ${duration(elapsed(job))}`;

function elapsed(job) {
  return isFinal(job.status) ? job.elapsed_time_seconds : job.elapsed_time_seconds + Math.max(0, (Date.now() - at(job.last_update)) / 1000);
}

/** What a repository is doing, or what it failed of. */
function what(row) {
  if (row.error) return h("span.failed", { dir: "auto", title: row.error }, row.failure?.kind ? `${row.failure.kind}: ` : "", row.error);
  const progress = row.progress;
  if (!progress) return "";
  if (isFinal(row.status)) {
    const found = Number.isFinite(row.dependencies_found) && row.dependencies_found !== null ? `${number(row.dependencies_found)} packages` : "";
    return row.reused_from ? [found, " ", h("span.faint", { title: `the result of job ${row.reused_from}` }, "unchanged")] : found;
  }
  const meter = Number.isFinite(progress.percentage) && kindOf(row.status) === "running" ? h("progress", { max: "100", value: String(progress.percentage), "aria-label": "progress" }) : null;
  return [meter, " ", h("span.faint", { dir: "auto" }, progress.message ?? progress.current_file_name ?? progress.stage ?? "")];
}
