// What all views share: the place that the address names, whether what is shown is current, and how errors look.

import { learnSession, request, session } from "./api.js";
import { announce, fill, h, text } from "./dom.js";

/** What the address names: `#/`, `#/jobs/ID`, `#/jobs/ID/packages`, `#/jobs/ID/changes`, `#/jobs/ID/N`, `#/schedules`, `#/webhooks`, `#/agents`, `#/sign-in`, each with parameters. */
export function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  const parameters = new URLSearchParams(query);
  if (parts[0] === "sign-in") return { view: "sign-in", parameters };
  if (["schedules", "webhooks", "agents"].includes(parts[0])) return { view: parts[0], parameters };
  if (parts[0] === "jobs" && parts[1]) {
    const job = parts[1];
    if (parts[2] === "packages" || parts[2] === "changes") return { view: parts[2], job, parameters };
    if (/^\d+$/.test(parts[2] ?? "")) return { view: "repository", job, index: Number(parts[2]), parameters };
    return { view: "job", job, parameters };
  }
  return { view: "jobs", parameters };
}

/** Changes the parameters of the address without a step in the history. */
export function setParameters(values) {
  const [path, query = ""] = location.hash.split("?");
  const parameters = new URLSearchParams(query);
  for (const [key, value] of Object.entries(values)) {
    if (value) parameters.set(key, value);
    else parameters.delete(key);
  }
  const next = parameters.size ? `${path || "#/"}?${parameters}` : path || "#/";
  history.replaceState(null, "", next);
}

/** Tells whether what is shown is current. */
export function link(state) {
  const words = {
    connecting: "Connecting…", live: "Live", stale: "The server is silent: this may be out of date", ended: "Finished",
    lost: "No connection: this may be out of date; trying again", "signed-out": "Signed out", gone: "Removed", archived: "Archived", "": "",
  };
  const element = document.getElementById("link");
  element.dataset.state = state;
  text(element, words[state] ?? "");
  document.getElementById("main").classList.toggle("old", state === "stale" || state === "lost");
  if (state === "lost" || state === "stale") announce(words[state]);
  if (state === "signed-out") location.hash = "#/sign-in";
}

/** An error as the page shows it, with what to do. */
export function problem(error, again) {
  const what = error.status === 404 ? "There is no such thing here: it may have been removed, or expired." : error.message;
  return h(
    "div.problem", { role: "alert" },
    h("p", null, what),
    again && error.status !== 404 && h("button", { type: "button", onclick: again }, "Try again"),
    h("p", null, h("a", { href: "#/" }, "All jobs")),
  );
}

/** Leads to the page for signing in, and from there back. */
export function toSignIn() {
  const back = location.hash.startsWith("#/sign-in") ? "" : location.hash;
  location.replace(`#/sign-in${back ? `?back=${encodeURIComponent(back)}` : ""}`);
}

/** Shows who uses the page. */
export function drawUser() {
  const element = document.getElementById("user");
  if (session.open || !session.user) return fill(element);
  const out = async () => {
    await request("sign-out", { method: "POST" }).catch(() => {});
    session.known = false;
    location.hash = "#/sign-in";
    fill(element);
  };
  const scope = session.scope === "admin" ? "" : ` (${session.scope})`;
  fill(element, `${session.user}${scope} `, session.cookie && h("button.quiet", { type: "button", onclick: out }, "Sign out"));
}

/** Called when somebody has signed in. */
export async function signedIn(back) {
  await learnSession();
  session.known = true;
  drawUser();
  location.hash = back || "#/";
}
