// One repository: its stages, its log, its packages, its warnings, and the raw status.

import { link, place, problem, setParameters } from "./shell.js";
import { request } from "./api.js";
import { curl, jq } from "./commands.js";
import { copier, fill, h, text } from "./dom.js";
import { REMEDIES, badge, duration, isFinal, seconds, time } from "./format.js";
import { packagesPanel } from "./found.js";
import { follow } from "./live.js";
import { logPanel } from "./log.js";
import { tabList } from "./tabs.js";
import { warningsPanel } from "./warnings.js";

const TABS = [["packages", "Packages"], ["warnings", "Warnings"], ["log", "Log"], ["status", "Status"]];
/** What in the address belongs to one tab. */
const OWN = { line: "", q: "", ecosystem: "", scope: "", direct: "" };

export function view(main, { job, index, parameters }) {
  const path = `scan/${encodeURIComponent(job)}/repositories/${index}`;
  let tab = TABS.some(([name]) => name === parameters.get("tab")) ? parameters.get("tab") : "packages";
  let row = null;
  let leaveTab = () => {};
  const head = h("div", null, h("p.note", { role: "status" }, "Waiting for the state of the repository…"));
  const panel = h("div.panel", { role: "tabpanel" });
  const tabs = tabList({
    label: "Views", tabs: TABS, selected: tab, panel,
    onselect(name) {
      tab = name;
      setParameters({ ...OWN, tab: name === "packages" ? "" : name });
      drawPanel();
    },
  });
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

  function drawPanel() {
    leaveTab();
    leaveTab = { packages: drawPackages, warnings: drawWarnings, log: drawLog, status: drawStatus }[tab]() ?? (() => {});
  }

  /** An error in a tab; a scan that still runs has no result yet. */
  function trouble(error) {
    const waits = error.status === 404 || error.status === 400;
    fill(panel, waits && !isFinal(row?.status) ? h("p.note", null, "This is known when the scan is finished.") : waits && row?.status !== "completed" ? h("p.note", null, "The scan has no result, because it was not completed.") : problem(error, drawPanel));
  }

  const drawPackages = () => packagesPanel(panel, { path, job, index, parameters: place().parameters, onfilter: setParameters, onerror: trouble });
  const drawWarnings = () => warningsPanel(panel, { path, onerror: trouble });
  const drawLog = () => logPanel(panel, {
    path, name: `${job}-${index}.log`, line: Number(place().parameters.get("line") ?? NaN), isFinal: isFinal(row?.status), onerror: trouble,
  });

  function drawStatus() {
    const raw = h("pre", { tabIndex: 0 });
    fill(panel, h("p", null, "File: ", h("code", null, `${job}/repo_${index}.json`), " in the jobs folder ", copier("copy as jq", jq(".", job, `repo_${index}.json`)), " ", copier("copy as curl", () => curl(path))), raw);
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
    if (began || (changed && (tab === "packages" || tab === "warnings"))) drawPanel();
    statusChanged();
  }
  void refresh();
  const stop = follow(`scan/${encodeURIComponent(job)}/events`, {
    async link(now) {
      // Of a job without files the repository is archived, unless the job was removed.
      const kept = now === "gone" && (await request(path).catch(() => null));
      link(kept ? "archived" : now);
    },
    change(_, events) {
      if (row && events.some(({ event, data }) => event === "snapshot" || (event === "repository" && data.repo_index === index))) void refresh();
    },
  });
  return () => {
    stop();
    leaveTab();
  };
}

