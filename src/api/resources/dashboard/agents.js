// The agents on other machines: which take scans, how many, and why others do not.

import { request } from "./api.js";
import { fill, h, text } from "./dom.js";
import { number, time } from "./format.js";
import { link, problem } from "./shell.js";

/** How often the view is read again, in milliseconds. */
const OFTEN = 5000;
const SIGNS = { active: "✓ active", draining: "… draining", silent: "✗ silent", refused: "✗ refused" };

export async function view(main) {
  document.title = "Agents – scanwatch";
  link("");
  const abort = new AbortController();
  const said = h("p.faint", { role: "status" });
  const rows = h("tbody");
  const names = ["Name", "State", "Running", "Slots", "Labels", "Version", "Since", "Problem"];
  const head = h("thead", null, h("tr", null, names.map((one) => h("th", { scope: "col" }, one))));
  fill(main, h("h1", null, "Agents"), said, h("div.scroll", null, h("table", { "aria-label": "Agents" }, head, rows)));

  async function read() {
    try {
      const engine = await request("agents", { signal: abort.signal });
      const local = engine.kind === "local" ? "Scans are processes of the server's machine: [engine] in its settings. " : "";
      text(said, engine.waiting_reason ? `Queued repositories wait: ${engine.waiting_reason}` : local);
      fill(rows, engine.agents.map(row), engine.agents.length === 0 && h("tr", null, h("td", { colSpan: names.length }, "None.")));
    } catch (error) {
      if (error.name !== "AbortError") fill(said, problem(error, read));
    }
  }

  function row(one) {
    const silent = one.state === "silent" && one.silent_secs !== null ? ` for ${number(one.silent_secs)} s` : "";
    return h("tr", { "data-row": one.name, tabIndex: 0 },
      h("td.name", null, one.name), h("td", null, SIGNS[one.state] + silent), h("td", null, number(one.running)), h("td", null, number(one.slots)),
      h("td", null, one.labels.join(", ")), h("td", null, one.version ?? "—"), h("td", null, one.started_at ? time(one.started_at) : "—"),
      h("td", { dir: "auto" }, one.problem ?? "—"));
  }

  const timer = setInterval(() => document.visibilityState === "visible" && !main.contains(document.activeElement?.closest("tr")) && void read(), OFTEN);
  await read();
  return () => {
    clearInterval(timer);
    abort.abort();
  };
}
