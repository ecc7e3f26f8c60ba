// The webhooks of the settings: how their targets work, what waits, what was given up and what was delivered.

import { may, request } from "./api.js";
import { announce, fill, h, text } from "./dom.js";
import { number, time } from "./format.js";
import { link, problem, setParameters } from "./shell.js";

/** How often the view is read again, in milliseconds. */
const OFTEN = 5000;
const STATES = { "": "all", pending: "waiting", failed: "given up", delivered: "delivered" };
const SIGNS = { pending: "… waiting", failed: "✗ given up", delivered: "✓ delivered" };

export async function view(main, { parameters }) {
  document.title = "Webhooks – scanwatch";
  link("");
  let [name, state, page] = [parameters.get("name") ?? "", parameters.get("state") ?? "", 1];
  const abort = new AbortController();
  const targets = h("tbody");
  const said = h("p.faint", { role: "status" });
  const select = h("select", { "aria-label": "State of the deliveries" }, Object.entries(STATES).map(([value, label]) => h("option", { value }, label)));
  select.value = STATES[state] ? state : "";
  const rows = h("tbody");
  const title = h("h2");
  const back = h("button", { type: "button", onclick: () => turn(-1) }, "Newer");
  const more = h("button", { type: "button", onclick: () => turn(1) }, "Older");
  const head = (names) => h("thead", null, h("tr", null, names.map((one) => h("th", { scope: "col" }, one))));
  const below = h("section", { hidden: true }, title, h("div.line", null, select, back, more),
    h("div.scroll", null, h("table", { "aria-label": "Deliveries" }, head(["State", "Event", "Job", "Created", "Attempts", "Last answer", "Action"]), rows)));
  fill(main, h("h1", null, "Webhooks"), said,
    h("div.scroll", null, h("table", { "aria-label": "Webhooks" }, head(["Name", "State", "Target", "Waiting", "Given up", "Lost", "Last error", "Action"]), targets)), below);

  async function read() {
    try {
      const { webhooks } = await request("webhooks", { signal: abort.signal });
      if (!webhooks.some((one) => one.name === name)) name = webhooks[0]?.name ?? "";
      if (!webhooks.length) text(said, "There are no webhooks. They are named in the settings of the server: [[webhooks]].");
      fill(targets, webhooks.map(target));
      below.hidden = !name;
      if (!name) return;
      text(title, `Deliveries to ${name}`);
      const wanted = new URLSearchParams({ page: String(page), per_page: "50" });
      if (state) wanted.set("state", state);
      const found = await request(`webhooks/${encodeURIComponent(name)}/deliveries?${wanted}`, { signal: abort.signal });
      [back.hidden, more.hidden] = [page <= 1, page >= found.total_pages];
      fill(rows, found.deliveries.map(delivery), found.total === 0 && h("tr", null, h("td", { colSpan: 7 }, "None.")));
    } catch (error) {
      if (error.name !== "AbortError") fill(said, problem(error, read));
    }
  }

  function target(one) {
    const word = one.disabled ? "✗ disabled: the target answered 410" : one.failures ? `⚠ failing, ${number(one.failures)} in a row` : "✓ ok";
    const choose = () => {
      [name, page] = [one.name, 1];
      setParameters({ name });
      void read();
    };
    const test = async () => {
      const { ok, status, error } = await request(`webhooks/${encodeURIComponent(one.name)}/test`, { method: "POST" }).catch((problem) => ({ error: problem.message }));
      announce(ok ? `The target answered ${status}` : error);
      text(said, ok ? `${one.name}: the target answered ${status}` : `${one.name}: ${error}`);
    };
    return h("tr", { "data-row": one.name, tabIndex: 0, "aria-current": one.name === name ? "true" : null },
      h("td", null, h("button.quiet", { type: "button", onclick: choose }, one.name)), h("td", null, word), h("td.name", null, one.target),
      h("td", null, number(one.pending)), h("td", null, number(one.failed)), h("td", null, number(one.lost)),
      h("td", { dir: "auto" }, one.last_failure?.error ?? "—"), h("td", null, may("write") && h("button", { type: "button", onclick: test }, "Test")));
  }

  function delivery(one) {
    const { type, data } = one.payload;
    const again = async (event) => {
      event.target.disabled = true;
      await request(`webhooks/${encodeURIComponent(name)}/deliveries/${one.id}/redeliver`, { method: "POST" }).catch((problem) => text(said, problem.message));
      await read();
    };
    const last = one.last_attempt;
    const path = `#/jobs/${encodeURIComponent(data.job_id)}${data.repo_index === undefined ? "" : `/${data.repo_index}`}`;
    return h("tr", { "data-row": one.id, tabIndex: 0 },
      h("td", null, SIGNS[one.state]), h("td", null, type), h("td", null, h("a", { href: path }, data.repo_name ?? data.job_id)), h("td", null, time(one.created_at)),
      h("td", null, number(one.attempts)), h("td", { dir: "auto" }, last ? last.error ?? `${last.status}` : "—"),
      h("td", null, may("write") && h("button", { type: "button", onclick: again }, "Send again")));
  }

  function turn(step) {
    page += step;
    void read();
  }
  select.addEventListener("change", () => {
    [state, page] = [select.value, 1];
    setParameters({ state });
    void read();
  });
  // A field or a button in use keeps the focus: the rows are replaced only while none is.
  const timer = setInterval(() => document.visibilityState === "visible" && !main.contains(document.activeElement?.closest("button, a, tr, select")) && void read(), OFTEN);
  await read();
  return () => {
    clearInterval(timer);
    abort.abort();
  };
}
