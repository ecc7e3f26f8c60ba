// The shell of the page: which view is shown, who uses it, whether what is shown is current.

import { learnSession, request, session } from "./api.js";
import { fill, h, show } from "./dom.js";
import { drawUser, link, place, problem, toSignIn } from "./shell.js";

const main = document.getElementById("main");
const VIEWS = {
  jobs: () => import("./jobs.js"),
  job: () => import("./job.js"),
  repository: () => import("./repository.js"),
  packages: () => import("./packages.js"),
  changes: () => import("./changes.js"),
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
  try {
    const module = await VIEWS[where.view]();
    if (mine !== shown) return;
    main.className = where.view;
    const stop = await module.view(main, where);
    if (mine === shown) leave = stop ?? (() => {});
    else stop?.();
  } catch (error) {
    if (mine === shown) fill(main, problem(error, render));
  }
}

const KEYS = [
  ["/", "filter"], ["j  k", "next, previous row"], ["Enter", "open the row"], ["g j", "jobs"], ["u", "up: from a repository to its job, from a job to all"],
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

async function health() {
  const element = document.getElementById("health");
  try {
    const { status, problems } = await request("health");
    element.hidden = status === "healthy";
    if (!element.hidden) fill(element, h("strong", null, "Degraded: "), problems.length > 1 ? h("ul", null, problems.map((one) => h("li", null, one))) : problems[0]);
  } catch {
    // The streams tell when the server is away.
  }
}

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
void render().then(health);
setInterval(() => session.known && document.visibilityState === "visible" && health(), 30_000);
