// What has changed since another job of the same URL: packages that were added, removed or have other versions.

import { link, setParameters } from "./shell.js";
import { request } from "./api.js";
import { fill, h, text } from "./dom.js";
import { badge, number, time } from "./format.js";

const KINDS = { added: "+ added", removed: "− removed", changed: "~ changed" };

export async function view(main, { job, parameters }) {
  document.title = "Changes – scanwatch";
  link("");
  const own = (await listed({ job, per_page: "1" })).find((one) => one.job_id === job);
  if (!own) throw Object.assign(new Error("Job not found"), { status: 404 });
  const others = await earlier(own);
  const before = h("select", { "aria-label": "Earlier job" }, others.map((one) => h("option", { value: one.job_id }, `${time(one.created_at).textContent} · ${one.status} · ${one.job_id}`)));
  const kind = h("select", { "aria-label": "Kind of change" }, h("option", { value: "" }, "all changes"), Object.entries(KINDS).map(([value, label]) => h("option", { value }, label)));
  const said = h("p.faint", { role: "status" });
  const missing = h("div");
  const list = h("tbody");
  const more = h("button", { type: "button", hidden: true }, "More");
  fill(main,
    h("p", null, h("a", { href: `#/jobs/${encodeURIComponent(job)}` }, "← job")), h("h1", null, "What has changed"), h("p.name", { dir: "auto" }, own.git_url),
    others.length ? h("div.line", null, h("label", null, "since ", before), kind) : h("p", null, "There is no other job of this URL to compare with."), said, missing,
    h("div.scroll", null, h("table", { "aria-label": "Changed packages" }, h("thead", null, h("tr", null, ["Repository", "Change", "Ecosystem", "Package", "Before", "After"].map((one) => h("th", { scope: "col" }, one)))), list)), more);
  if (!others.length) return undefined;
  const given = parameters.get("with");
  before.value = others.some((one) => one.job_id === given) ? given : others[0].job_id;
  kind.value = KINDS[parameters.get("change")] ? parameters.get("change") : "";
  let page = 1;
  let abort = new AbortController();
  async function compare(next) {
    abort.abort();
    abort = new AbortController();
    page = next;
    setParameters({ with: before.value, change: kind.value });
    if (page === 1) fill(list);
    text(said, "Comparing…");
    const wanted = new URLSearchParams({ with: before.value, page: String(page), per_page: "500" });
    if (kind.value) wanted.set("change", kind.value);
    try {
      const answer = await request(`scan/${encodeURIComponent(job)}/diff?${wanted}`, { signal: abort.signal });
      for (const one of answer.changes) {
        list.append(h("tr", { "data-row": `${one.repo_name} ${one.ecosystem} ${one.name}`, tabIndex: 0 },
          h("td.name", { dir: "auto" }, one.repo_name), h("td", null, KINDS[one.change] ?? one.change), h("td", null, one.ecosystem), h("td.name", { dir: "auto" }, one.name), h("td", null, one.before.join(", ") || "—"), h("td", null, one.after.join(", ") || "—")));
      }
      more.hidden = page >= answer.total_pages;
      const sides = [[answer.repositories_added, "new"], [answer.repositories_removed, "gone"]].filter(([count]) => count).map(([count, what]) => `, ${number(count)} ${what}`);
      text(said, `${number(answer.added)} added, ${number(answer.removed)} removed, ${number(answer.changed)} changed in ${number(answer.repositories_compared)} repositories${sides.join("")}.`);
      fill(missing, answer.repositories_missing > 0 && h("details", null, h("summary", null, `${number(answer.repositories_missing)} repositories are not completed in both jobs, and are not compared`),
        h("ul", null, answer.missing.map((one) => h("li", { dir: "auto" }, one.repo_name, ": ", state(one.before), " → ", state(one.after))), answer.missing.length < answer.repositories_missing && h("li", null, "…"))));
    } catch (error) {
      if (error.name !== "AbortError") text(said, error.message);
    }
  }
  before.addEventListener("change", () => void compare(1));
  kind.addEventListener("change", () => void compare(1));
  more.addEventListener("click", () => void compare(page + 1));
  void compare(1);
  return () => abort.abort();
}

const state = (word) => (word ? badge(word) : "not there");

/** Rows of the list of jobs, then those of the archived ones. */
async function listed(wanted) {
  const lists = [{}, { archived: "true" }].map((which) => request(`jobs?${new URLSearchParams({ ...wanted, ...which })}`));
  return (await Promise.all(lists)).flatMap((list) => list.jobs);
}

/** The other jobs of the same URL, those before this one first, newest first. */
async function earlier(own) {
  const jobs = await listed({ q: own.git_url.slice(0, 200), per_page: "100" });
  const others = jobs.filter((one) => one.git_url === own.git_url && one.job_id !== own.job_id);
  const isBefore = (one) => one.created_at <= own.created_at;
  return [...others.filter(isBefore), ...others.filter((one) => !isBefore(one))];
}
