// The shell of the page: which view is shown, who uses it, whether what is shown is current.

import { learnSession, session } from "./api.js";
import { fill, h, show } from "./dom.js";
import { askHealth, onBanner } from "./health.js";
import { worker } from "./live.js";
import { drawUser, link, place, problem, toSignIn } from "./shell.js";

const main = document.getElementById("main");
const VIEWS = {
  jobs: () => import("./jobs.js"),
  job: () => import("./job.js"),
  repository: () => import("./repository.js"),
  packages: () => import("./packages.js"),
  changes: () => import("./changes.js"),
  schedules: () => import("./schedules.js"),
  webhooks: () => import("./webhooks.js"),
  agents: () => import("./agents.js"),
  "sign-in": () => import("./sign_in.js"),
};
let leave = () => {};
let shown = 0;

async function render() {
  const mine = ++shown;
  leave();
  leave = () => {};
  link("");
  const where = place();
  document.title = "scanwatch";
  // Loaded meanwhile; an error is that of the second call.
  VIEWS[where.view]().catch(() => {});
  if (!session.known && where.view !== "sign-in") {
    try {
      await learnSession();
      session.known = true;
      drawUser();
    } catch (error) {
      if (error.status === 401) return toSignIn();
      return fill(main, problem(error, render));
    }
  }
  if (mine !== shown) return;
  // A fast server is faster than an eye: the page changes at once, and does not flicker.
  const waits = setTimeout(() => mine === shown && fill(main, h("p.note", { role: "status" }, "Loading…")), 300);
  try {
    const module = await VIEWS[where.view]();
    clearTimeout(waits);
    if (mine !== shown) return;
    main.className = where.view;
    const stop = await module.view(main, where);
    if (mine === shown) leave = stop ?? (() => {});
    else stop?.();
  } catch (error) {
    clearTimeout(waits);
    if (mine === shown) fill(main, problem(error, render));
  }
}

const KEYS = [
  ["/", "filter"], ["j  k", "next, previous row"], ["Enter", "open the row"], ["g j", "jobs"], ["g s", "schedules"], ["u", "up: from a repository to its job, from a job to all"],
  ["?", "this list"], ["Esc", "leave a field, close a dialog"],
];
const help = () => show("Keyboard", h("dl.keys", null, KEYS.map(([key, what]) => [h("dt", null, h("kbd", null, key)), h("dd", null, what)])));

let before = "";
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (event.key === "Escape" && typing && !event.target.closest("dialog")) return event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const rows = [...main.querySelectorAll("[data-row]")];
  const current = rows.indexOf(document.activeElement?.closest?.("[data-row]"));
  const step = { j: 1, k: -1 }[event.key];
  if (before === "g" && event.key === "j") location.hash = "#/";
  else if (before === "g" && event.key === "s") location.hash = "#/schedules";
  else if (step && rows.length) rows[Math.min(rows.length - 1, Math.max(0, current + step))].focus();
  else if (event.key === "/") main.querySelector("[data-filter]")?.focus();
  else if (event.key === "?") help();
  else if (event.key === "u") {
    const { view, job } = place();
    location.hash = ["repository", "packages", "changes"].includes(view) ? `#/jobs/${encodeURIComponent(job)}` : "#/";
  } else return void (before = event.key);
  before = "";
  event.preventDefault();
});

let problemsShown = "";
onBanner(({ causes }) => {
  // Only a change is shown, because a screen reader reads out whatever replaces the content of an alert.
  if (JSON.stringify(causes) === problemsShown) return;
  problemsShown = JSON.stringify(causes);
  const element = document.getElementById("health");
  element.hidden = causes.length === 0;
  const shown = causes.map(({ problem, remedy }) => [problem, ". ", h("span.remedy", null, h("strong", null, "What to do: "), remedy)]);
  fill(element, h("strong", null, h("span", { "aria-hidden": "true" }, "⚠ "), "Degraded: "), shown.length > 1 ? h("ul", null, shown.map((one) => h("li", null, one))) : shown);
});

document.getElementById("help-button").addEventListener("click", help);
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", render);
addEventListener("signed-out", () => {
  session.known = false;
  if (place().view !== "sign-in") toSignIn();
});
worker();
void render().then(askHealth);
