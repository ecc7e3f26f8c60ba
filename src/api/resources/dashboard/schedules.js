// The schedules: when each runs next, what became of its last run, and why runs were skipped.

import { link, problem } from "./shell.js";
import { may, request } from "./api.js";
import { confirm, fill, h, text } from "./dom.js";
import { ago, at, badge, duration, number, time } from "./format.js";

/** How often the list is asked for while the page is in sight. */
const PAUSE = 5000;

export async function view(main) {
  document.title = "Schedules – scanwatch";
  link("");
  const said = h("p.error", { role: "alert" });
  const problems = h("ul.problems");
  const columns = ["Schedule", "What", "Next run", "Last run", "Skipped", ...(may("admin") ? ["Actions"] : [])];
  const body = h("tbody");
  const note = h("p.note", { role: "status" });
  fill(main, h("h1", null, "Schedules"), said, problems,
    h("div.scroll", null, h("table", { "aria-label": "Schedules" }, h("thead", null, h("tr", null, columns.map((one) => h("th", { scope: "col" }, one)))), body)), note);
  const abort = new AbortController();
  let print = "";

  async function refresh() {
    const { schedules, problems: broken } = await request("schedules", { signal: abort.signal });
    link("");
    // Rows are replaced only if something differs; the focus stays.
    if (print !== (print = JSON.stringify([schedules, broken]))) {
      fill(problems, broken.map((one) => h("li", { dir: "auto" }, h("strong", null, one.name), ": ", one.problem)));
      const open = new Set([...body.querySelectorAll("details[open]")].map((one) => one.dataset.of));
      const focus = document.activeElement;
      const [of, label] = [focus.closest("[data-row]")?.dataset.row, focus.getAttribute("aria-label")];
      fill(body, schedules.map((one) => row(one, open.has(one.name))));
      if (of) body.querySelector(label ? `[aria-label="${CSS.escape(label)}"]` : `[data-row="${CSS.escape(of)}"]`)?.focus();
      text(note, schedules.length ? "" : "There are no schedules. To store one: scanwatch schedules add NAME --cron PATTERN URL");
    }
    for (const cell of body.querySelectorAll("[data-next]")) text(cell, until(cell.dataset.next));
    for (const cell of body.querySelectorAll("[data-last]")) text(cell, ago(cell.dataset.last));
  }

  const act = (verb, name) => async () => {
    text(said, "");
    try {
      if (verb === "remove") {
        if (!(await confirm({ title: `Remove ${name}?`, lines: ["Its jobs stay."], verb: "Remove" }))) return;
        await request(`schedules/${encodeURIComponent(name)}`, { method: "DELETE" });
      } else {
        const { job_id, status } = await request(`schedules/${encodeURIComponent(name)}/run`, { method: "POST" });
        if (status === "pending") return void (location.hash = jobAddress(job_id));
      }
      await refresh();
    } catch (error) {
      text(said, `${name}: ${error.message}`);
    }
  };

  function row(one, isOpen) {
    return h("tr", { "data-row": one.name, tabIndex: 0 },
      h("td.name", null, h("div", null, h("a", { href: `#/?q=${encodeURIComponent(`schedule:${one.name}`)}`, dir: "auto", title: "Jobs of this schedule" }, one.name)),
        h("div.faint", null, `${one.cron} · ${one.timezone}`, one.source === "settings" && " · settings")),
      h("td.name", { dir: "auto" }, one.git_url),
      h("td", null, one.enabled ? [time(one.next_run), h("br"), h("span.faint", { "data-next": one.next_run })] : "off", one.pending && h("p", null, `waits: ${one.pending.reason ?? "starting"}`)),
      h("td", null, lastRun(one)),
      h("td", null, one.skipped_runs > 0 ? h("details", { "data-of": one.name, open: isOpen }, h("summary", null, number(one.skipped_runs)), h("ul", null, one.recent_skips.map((skip) => h("li", null, time(skip.due), ": ", skip.reason)))) : "—"),
      may("admin") && h("td", null, h("button", { type: "button", onclick: act("run", one.name), "aria-label": `Run now: ${one.name}` }, "Run now"), " ",
        one.source === "api" && h("button.danger", { type: "button", onclick: act("remove", one.name), "aria-label": `Remove ${one.name}` }, "Remove")),
    );
  }

  try {
    await refresh();
  } catch (error) {
    return void fill(main, problem(error, () => view(main)));
  }
  const clock = setInterval(() => {
    // Without an answer, the next turn asks again.
    if (document.visibilityState === "visible") refresh().catch((error) => error.name === "AbortError" || link("lost"));
  }, PAUSE);
  return () => {
    clearInterval(clock);
    abort.abort();
  };
}

const jobAddress = (id) => `#/jobs/${encodeURIComponent(id)}`;

/** How far away a time is. */
function until(value) {
  const seconds = (at(value) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? "" : seconds > 0 ? `in ${duration(seconds)}` : "now";
}

function lastRun(one) {
  const job = one.last_job && h("a", { href: jobAddress(one.last_job) }, one.last_job_status ? badge(one.last_job_status) : "job");
  const why = one.last_result && one.last_result !== "started" && h("p.faint", null, `${one.last_result}: ${one.last_reason}`);
  return [job ? [job, " ", h("span.faint", { "data-last": one.last_run, title: one.last_run }, ago(one.last_run))] : "—", why];
}
