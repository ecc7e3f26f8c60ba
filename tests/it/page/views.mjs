// What single parts of the views show and do.

import assert from "node:assert/strict";
import { accessible, base, open, told } from "./harness.mjs";

const job = process.env.PAGE_JOB;

/** What the button copies. A page of a plain HTTP server on this machine may read the clipboard once it is permitted. */
async function copied(page, name) {
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.evaluate("navigator.clipboard.writeText('')");
  await page.getByRole("button", { name, exact: true }).click();
  await page.waitForFunction(() => navigator.clipboard.readText());
  return page.evaluate("navigator.clipboard.readText()");
}

export const views = {
  /** A job that is archived is in a list of its own; it shows its repositories, packages and log, and no command that cannot work. */
  async archived(browser) {
    const page = await open(browser);
    await page.getByText("There are no jobs yet", { exact: false }).waitFor();
    await page.getByRole("button", { name: "Archived" }).click();
    await page.locator(`tr[data-row="${job}"] a`).click();
    await page.locator("#facts").getByText("archived: the files were removed", { exact: false }).waitFor();
    await page.getByText("1 failed").first().waitFor();
    await page.getByRole("link", { name: "part-0", exact: true }).waitFor();
    assert.equal(await page.getByRole("button", { name: /^Retry/ }).count(), 0);
    await accessible(page, "an archived job");
    await page.getByRole("link", { name: "part-0", exact: true }).click();
    await page.getByText("shop-lib").first().waitFor();
    await page.locator('#link[data-state="archived"]').waitFor();
    await page.getByRole("tab", { name: "Log" }).click();
    await page.getByText("a line of the log").waitFor();
    await page.goBack();
    await page.goto(`${base}/#/jobs/${job}/packages`);
    await page.getByText("shop-lib").first().waitFor();
    await page.goto(`${base}/#/jobs/${job}`);
    await page.getByRole("button", { name: "Delete" }).click();
    await page.locator("dialog").getByRole("button", { name: "Delete for good" }).click();
    await page.waitForURL(/#\/$/);
    await page.goto(`${base}/#/jobs/${job}`);
    await page.getByText("it may have been removed, or expired", { exact: false }).waitFor();
  },

  /** The list of jobs and the timeline show why fewer slots are in use than the settings allow, until they are all in use again. */
  async slots(browser) {
    const reason = "1 of 3 slots: a repository that ran out of memory is scanned alone";
    const page = await open(browser);
    await page.getByText(reason, { exact: false }).waitFor();
    const timeline = await page.context().newPage();
    await timeline.goto(`${base}/#/jobs/${job}?tab=timeline`);
    await timeline.locator(".timeline").getByText(reason, { exact: true }).waitFor();
    await accessible(timeline, "a timeline with fewer slots");
    process.stdout.write("live\n");
    await told("released");
    await timeline.locator("#facts").getByText("completed").waitFor();
    await timeline.locator(".timeline").getByText(reason).waitFor({ state: "detached" });
  },

  /** The schedules show their next and last runs, why runs were skipped, and what cannot be used; they are run and removed. */
  async schedules(browser) {
    const page = await open(browser);
    await page.getByRole("link", { name: "Schedules" }).click();
    const row = (name) => page.locator(`tr[data-row="${name}"]`);
    await row("yearly").getByText("in ", { exact: false }).first().waitFor();
    await row("off").getByText("off", { exact: true }).nth(1).waitFor();
    await row("mine").getByText("settings", { exact: false }).waitFor();
    assert.equal(await row("mine").getByRole("button", { name: "Remove" }).count(), 0);
    await page.locator(".problems").getByText("torn", { exact: false }).waitFor();
    await row("often").locator("summary").click();
    await row("often").locator("li").first().getByText("is not finished", { exact: false }).waitFor();
    await row("often").getByText("skipped: job", { exact: false }).waitFor();
    await accessible(page, "schedules");
    await row("often").getByRole("button", { name: "Run now: often" }).click();
    await page.locator(".error").getByText("is not finished", { exact: false }).waitFor();
    await row("off").getByRole("button", { name: "Remove off" }).click();
    await page.locator("dialog").getByRole("button", { name: "Remove", exact: true }).click();
    await row("off").waitFor({ state: "detached" });
    await row("often").getByRole("link", { name: "often", exact: true }).click();
    await page.waitForURL(/q=schedule/);
    await page.locator("main.jobs tr[data-row]").first().waitFor();
    assert.equal(await page.locator("main.jobs tr[data-row]").count(), 1);
    await page.goBack();
    await row("often").locator('a[href^="#/jobs/"]').click();
    await page.waitForURL(/#\/jobs\/[0-9a-f-]{36}$/);
    await page.goBack();
    await row("yearly").getByRole("button", { name: "Run now: yearly" }).click();
    await page.waitForURL(/#\/jobs\/[0-9a-f-]{36}$/);
  },

  /** Jobs that wait show their places; the load of the server and its throughput are there without a reload. */
  async queue(browser) {
    const page = await open(browser);
    await page.getByText("1 of 1 slots in use · 2 repositories in the queue").waitFor();
    const [first, second] = process.env.PAGE_WAITING.split(" ");
    await page.locator(`tr[data-row="${first}"]`).getByText("next in the queue").waitFor();
    await page.locator(`tr[data-row="${second}"]`).getByText("place 2 in the queue").waitFor();
    await page.getByText("0 finished in the").waitFor();
    await page.getByRole("button", { name: /^Pending/ }).focus();
    await accessible(page, "waiting jobs");
    const waiting = await page.context().newPage();
    await waiting.goto(`${base}/#/jobs/${second}`);
    await waiting.locator("#queue").filter({ hasText: "place 2 in the queue" }).waitFor();
    // A paused job has no place; a bumped one is the next.
    const press = (name) => waiting.getByRole("button", { name, exact: true }).click();
    await press("Pause");
    await waiting.locator("#facts").getByText("paused").waitFor();
    await page.locator(`tr[data-row="${second}"]`).getByText("paused").waitFor();
    await accessible(waiting, "a paused job");
    await press("Bump");
    await press("Resume");
    await waiting.getByRole("button", { name: "Pause", exact: true }).waitFor();
    await page.locator(`tr[data-row="${second}"]`).getByText("next in the queue").waitFor();
    process.stdout.write("live\n");
    await told("released");
    await page.getByText("3 finished in the").waitFor();
    await page.getByText("0 of 1 slots in use · 0 repositories in the queue").waitFor();
    assert.ok((await page.locator(".spark rect").count()) >= 1);
    // What was drawn meanwhile has left the focus alone.
    assert.match(await page.evaluate("document.activeElement.textContent"), /^Pending/);
    await waiting.locator(".facts").getByText("completed").waitFor();
    assert.equal(await waiting.locator("#queue").innerText(), "");
  },

  /** A problem of the server is shown with its remedy, and disappears with it. */
  async degraded(browser) {
    const page = await open(browser);
    const banner = page.getByRole("alert").filter({ hasText: "Degraded" });
    await banner.getByText("the settings were changed and are invalid", { exact: false }).waitFor();
    await banner.getByText("scanwatch config check", { exact: false }).waitFor();
    await accessible(page, "a problem");
    process.stdout.write("live\n");
    await told("mended");
    await banner.waitFor({ state: "hidden" });
  },

  /** Only what failed by one cause is scanned again; commands are quoted for a shell; the time left has a range. */
  async causes(browser) {
    const page = await open(browser, `/#/jobs/${job}`);
    const cause = page.locator("details.cause").filter({ hasText: "clone: 2" });
    await cause.locator("summary").click();
    await page.locator("details.cause").filter({ hasText: "exit: 1" }).waitFor();
    assert.equal(await copied(page, "copy as curl"), `curl -sS '${base}/scan/${job}?view=summary'`);
    assert.equal(await copied(page, "copy as jq"), `jq -r '[.repo_index, .repo_name, .status, .failure.kind // "", .failure.detail // ""] | @tsv' ${job}/repo_*.json`);
    process.stdout.write(`${await page.evaluate("navigator.clipboard.readText()")}\n`);
    await told("read");
    await cause.getByRole("button", { name: "Retry 2 of clone" }).click();
    await page.getByText("Live", { exact: true }).waitFor();
    await page.locator(".estimate").filter({ hasText: /estimated: .* left \(.* to .*\)/ }).waitFor();
    await page.getByRole("button", { name: "Cancel" }).waitFor();
    process.stdout.write("live\n");
    await told("released");
    await page.getByText("Finished", { exact: true }).waitFor();
    await page.locator("details.cause").filter({ hasText: "exit: 1" }).waitFor();
    assert.equal(await page.locator("details.cause").count(), 1);
    await page.getByRole("tab", { name: "Repositories" }).focus();
    await page.keyboard.press("ArrowRight");
    await page.locator(".lanes rect").first().waitFor();
    assert.equal(await page.evaluate("document.activeElement.textContent"), "Timeline");
  },

  /** The log: its search, and the addresses of its lines. */
  async log(browser) {
    const page = await open(browser, `/#/jobs/${job}/0?tab=log`);
    const line = (number) => page.locator(`.log li[data-row="${number}"]`);
    await line(7000).waitFor();
    const drawn = await page.locator(".log li").count();
    assert.ok(drawn <= 3000, `${drawn} lines are elements`);
    await page.getByText("4,000 earlier lines").waitFor();
    await page.getByLabel("Search the log").fill("NEEDLE");
    await page.getByText("1 of 3 lines").waitFor();
    await line(10).and(page.locator(".current")).waitFor();
    await line(10).locator("mark").filter({ hasText: "needle" }).waitFor();
    await page.keyboard.press("Enter");
    await page.getByText("2 of 3 lines").waitFor();
    await line(3500).and(page.locator(".current")).waitFor();
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.press("Shift+Enter");
    await page.getByText("3 of 3 lines").waitFor();
    await line(6990).and(page.locator(".current")).waitFor();
    await accessible(page, "a searched log");
    await page.getByLabel("Search the log").fill("");
    // By the keyboard: out of the field, into the lines, and an address for the one with the focus.
    await page.keyboard.press("Escape");
    await line(6990).focus();
    await page.keyboard.press("k");
    await page.keyboard.press("Enter");
    await page.waitForURL(/line=6989/);
    assert.equal(await page.evaluate("document.activeElement.dataset.row"), "6989");
    await page.locator('.log a[href$="line=6980"]').click();
    await page.waitForURL(/line=6980/);
    await page.goto("about:blank");
    await page.goto(`${base}/#/jobs/${job}/0?tab=log&line=120`);
    await line(120).and(page.locator(".target")).waitFor();
    await line(120).locator("span").filter({ hasText: /^line 120$/ }).waitFor();
    assert.equal(await page.evaluate("document.activeElement.dataset.row"), "120");
    const seen = await line(120).evaluate((element) => {
      const [own, log] = [element.getBoundingClientRect(), element.closest(".log").getBoundingClientRect()];
      return own.top >= log.top && own.bottom <= log.bottom;
    });
    assert.ok(seen, "the line is in sight");
    await page.reload();
    await line(120).and(page.locator(".target")).waitFor();
    assert.equal(await copied(page, "copy link"), `${base}/#/jobs/${job}/0?tab=log&line=120`);
    await page.goto(`${base}/#/jobs/${job}/0?tab=log&line=9999`);
    await page.getByText("The log has no line 9,999.").waitFor();
    // A long log is read from its end, until all of it is asked for.
    await page.goto(`${base}/#/jobs/${job}/1?tab=log`);
    await page.getByText("the last of many lines").waitFor();
    assert.equal(await page.locator(".log a").count(), 0);
    await page.getByRole("button", { name: /^Read all/ }).click();
    await line(30001).filter({ hasText: "the last of many lines" }).waitFor();
  },

  /** The packages of a repository by ecosystem, scope and who requires them; the path to each; what could not be read. */
  async packages(browser) {
    const page = await open(browser, `/#/jobs/${job}/0`);
    const rows = page.locator("tr[data-row]");
    await page.getByText("1,205 packages, the first 500 below").waitFor();
    await page.getByRole("button", { name: "npm 1,203 · 100 %" }).waitFor();
    await accessible(page, "all packages");
    await page.getByRole("button", { name: "pypi 2 · 0 %" }).click();
    await page.getByText("2 packages fit, of 1,205").waitFor();
    await page.waitForURL(/ecosystem=pypi/);
    assert.equal(await page.getByRole("button", { name: "pypi 2 · 0 %" }).getAttribute("aria-pressed"), "true");
    await page.getByLabel("Scope").selectOption("dev");
    await page.getByText("1 packages fit, of 1,205").waitFor();
    await rows.filter({ hasText: "pytest" }).waitFor();
    const command = await copied(page, "copy as jq");
    assert.equal(command, `jq -r '.packages[] | select(.ecosystem == "pypi" and .scope == "dev") | [.name, .version // .specifier, .ecosystem, .scope, .file] | @tsv' ${job}/results/repo_0.json`);
    process.stdout.write(`${command}\n`);
    await told("read");
    await page.reload();
    await rows.filter({ hasText: "pytest" }).waitFor();
    assert.equal(await rows.count(), 1);
    await page.goto(`${base}/#/jobs/${job}/0?direct=false&q=it's`);
    await page.getByText("1 packages fit, of 1,205").waitFor();
    await page.locator("details.why summary").filter({ hasText: "shop-lib → between → it's-deep" }).click();
    // The path is a list within a list, so that a screen reader names the levels.
    await page.locator("ol.tree > li > ol.tree > li > ol.tree > li").filter({ hasText: "it's-deep" }).waitFor();
    await page.getByText("the project requires it: package.json:7").waitFor();
    await page.getByText("1 other packages require it, too").waitFor();
    await accessible(page, "the path to a package");
    process.stdout.write(`${await copied(page, "copy as jq")}\n`);
    await told("read");
    await page.getByRole("tab", { name: "Packages" }).focus();
    await page.keyboard.press("ArrowRight");
    await page.getByText("3 warnings", { exact: false }).waitFor();
    await page.locator("details.cause").filter({ hasText: "no version · 2 places" }).getByText("a/b.lock:3").waitFor();
    assert.equal(await page.locator("details.cause").count(), 2);
    await accessible(page, "warnings");
    await page.goto(`${base}/#/jobs/${job}/packages?name=shop-lib`);
    await page.locator(".bars li").filter({ hasText: "npm 1.0" }).getByText("1 · 100 %").waitFor();
    await accessible(page, "who uses a package, by version");
  },
};
