// What a person does with the page, in a real browser. Each scenario fails by an exception.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { accessible, base, home, open, play, told } from "./harness.mjs";
import { network } from "./network.mjs";
import { views } from "./views.mjs";

const basics = {
  /** Two jobs of one group are compared. */
  async changes(browser) {
    const page = await open(browser, `#/jobs/${process.env.PAGE_JOB}`);
    await page.getByRole("link", { name: "Changes" }).click();
    await page.getByText("2 added, 1 removed, 1 changed in 2 repositories, 1 new.", { exact: true }).waitFor();
    await page.locator("tr[data-row]").filter({ hasText: "moved" }).getByText("1.9.0, 1.10.0").waitFor();
    await page.getByText("1 repositories are not completed in both jobs", { exact: false }).click();
    await page.getByText("part-2: ", { exact: false }).waitFor();
    await accessible(page, "what has changed");
    await page.getByLabel("Kind of change").selectOption("added");
    await page.locator("tr[data-row]").filter({ hasText: "moved" }).waitFor({ state: "detached" });
    await page.locator("tr[data-row]").nth(1).waitFor();
    assert.equal(await page.locator("tr[data-row]").count(), 2);
    assert.match(page.url(), /with=[0-9a-f-]{36}&change=added$/);
    await page.reload();
    await page.locator("tr[data-row]").filter({ hasText: "+ added" }).first().waitFor();
  },

  /** A group is submitted by the form, and watched to its end; its failures, log, packages and downloads are there. */
  async group(browser) {
    const page = await open(browser);
    await page.getByText("There are no jobs yet.").waitFor();
    await accessible(page, "no jobs");
    const url = page.getByLabel("URL", { exact: true });
    await url.fill("https://nowhere.example/x.git");
    await page.getByRole("button", { name: "Scan" }).click();
    await page.getByText("Domain not allowed", { exact: false }).waitFor();
    assert.equal(await url.getAttribute("aria-invalid"), "true");
    await url.fill(process.env.PAGE_URL);
    await page.getByRole("button", { name: "Scan" }).click();
    await page.waitForURL(/#\/jobs\//);
    await page.locator(".facts").getByText("completed with errors").waitFor();
    await page.getByText("Finished", { exact: true }).waitFor();
    assert.match(await page.locator(".legend").innerText(), /2 completed · ✗ 1 failed · 0 running · 0 pending · of 3|2 completed/);
    await page.locator("details.cause summary").filter({ hasText: "exit: 1" }).waitFor();
    await page.locator(".vrow").filter({ hasText: "part-1" }).getByText("failed").first().waitFor();
    await accessible(page, "a job");
    await page.getByRole("tab", { name: "Timeline" }).click();
    await page.locator(".lanes rect.done").first().waitFor();
    assert.match(await page.locator(".timeline p").innerText(), /3 scans in \d+ slots/);
    await accessible(page, "the timeline");
    const [csv] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "CSV" }).click()]);
    assert.match(readFileSync(await csv.path(), "utf8"), /^repository,name,version/);
    await page.getByRole("tab", { name: "Repositories" }).click();
    await page.locator(".vrow a").filter({ hasText: "part-0" }).click();
    await page.locator("tr[data-row]").filter({ hasText: "left-pad" }).waitFor();
    await page.locator("summary").filter({ hasText: "shop-lib → left-pad" }).waitFor();
    await accessible(page, "packages");
    await page.getByRole("tab", { name: "Log" }).click();
    await page.locator(".log li").filter({ hasText: "a line of the log" }).waitFor();
    await accessible(page, "the log");
    await page.getByRole("tab", { name: "Status" }).click();
    await page.locator("pre").filter({ hasText: '"repo_index": 0' }).waitFor();
    await page.getByText("← job").click();
    await page.getByRole("link", { name: "Packages" }).click();
    await page.getByLabel("Name of a package").fill("left-pad");
    await page.getByRole("button", { name: "Find" }).click();
    await page.getByText("2 found in 2 of 2 repositories.", { exact: true }).waitFor();
    await page.getByText("Nothing is known about 1 repositories", { exact: false }).waitFor();
    await accessible(page, "who uses a package");
    await page.getByLabel("Range of versions").fill("^1");
    await page.getByRole("button", { name: "Find" }).click();
    await page.getByText("Invalid range: `^1` is not a comparator", { exact: false }).waitFor();
    await page.getByLabel("Name of a package").fill("EFT-p");
    await page.getByLabel("Range of versions").fill(">=1, <2");
    await page.getByRole("button", { name: "Find" }).click();
    await page.getByText("2 found in 2 of 2 repositories.", { exact: true }).waitFor();
    await page.getByText("← job").click();
    await page.getByRole("link", { name: "Changes" }).click();
    await page.getByText("There is no other job of this URL to compare with.").waitFor();
    await page.goto(`${base}/#/`);
    await page.locator("tr[data-row]").filter({ hasText: "completed" }).waitFor();
    await accessible(page, "jobs");
    await page.getByLabel("Filter jobs").fill("status:failed");
    await page.getByText("No job fits.").waitFor();
    assert.match(page.url(), /status=failed/);
  },

  /** The server dies and comes back under an open page. */
  async restart(browser) {
    const page = await open(browser, `/#/jobs/${process.env.PAGE_JOB}`);
    await page.getByText("Live", { exact: true }).waitFor();
    process.stdout.write("live\n");
    await told("killed");
    await page.getByText("No connection", { exact: false }).first().waitFor();
    await told("started");
    await page.getByText("No connection", { exact: false }).first().waitFor({ state: "hidden" });
    await page.locator(".facts").getByText("completed", { exact: false }).waitFor();
  },

  /** Whatever names, messages and logs hold is text. */
  async hostile(browser) {
    const page = await open(browser, `/#/jobs/${process.env.PAGE_JOB}`);
    const shown = page.locator(".vrow").first();
    await shown.waitFor();
    await page.locator("details.cause summary").first().click();
    for (const path of ["", "/0", "/0?tab=log", "/0?tab=status", "/packages?name=%3Cimg%20src%3Dx%3E"]) {
      await page.goto(`${base}/#/jobs/${process.env.PAGE_JOB}${path}`);
      await page.locator("main h1, main h2").first().waitFor();
      await page.waitForTimeout(300);
      assert.equal(await page.evaluate("window.pwned"), undefined);
      assert.equal(await page.locator("main img, main script, main iframe").count(), 0, path);
    }
    await page.goto(`${base}/#/`);
    await page.locator("tr[data-row]").first().waitFor();
    assert.equal(await page.evaluate("window.pwned"), undefined);
  },

  /** Ten thousand repositories: only what is in sight exists, everything can be found and sorted. */
  async large(browser) {
    const page = await open(browser, `/#/jobs/${process.env.PAGE_JOB}`);
    await page.locator(".vrow").first().waitFor();
    assert.equal(await page.locator('[role="table"]').getAttribute("aria-rowcount"), "10001");
    const count = await page.locator(".vrow").count();
    assert.ok(count < 100, `${count} rows exist`);
    await page.locator(".vscroll").evaluate((element) => (element.scrollTop = element.scrollHeight));
    await page.locator('.vrow[aria-rowindex="10001"]').waitFor();
    await page.getByRole("button", { name: /^Repository/ }).click();
    await page.locator(".vscroll").evaluate((element) => (element.scrollTop = 0));
    await page.locator(".vrow").first().filter({ hasText: "part-0" }).waitFor();
    await page.getByLabel("Filter repositories").fill("part-9999");
    await page.getByText("1 of 10,000").waitFor();
    await page.getByRole("tab", { name: "Timeline" }).click();
    await page.getByText("Nothing has started yet.").waitFor();
  },

  /** From signing in to a failed repository and out again, with the keyboard alone. */
  async keyboard(browser) {
    const page = await open(browser);
    await page.waitForURL(/#\/sign-in/);
    await accessible(page, "signing in");
    await page.keyboard.type("operator");
    await page.keyboard.press("Tab");
    await page.keyboard.type("wrong");
    await page.keyboard.press("Enter");
    await page.getByText("Invalid credentials").waitFor();
    await page.getByLabel("Password").focus();
    await page.keyboard.type("s3cret");
    await page.keyboard.press("Enter");
    await page.getByText("operator", { exact: false }).first().waitFor();
    const cookies = await page.context().cookies();
    assert.equal(cookies.length, 1);
    assert.ok(cookies[0].httpOnly && cookies[0].sameSite === "Strict" && cookies[0].name === `scanwatch_${new URL(base).port}`);
    assert.equal(await page.evaluate("document.cookie"), "");
    await page.locator("tr[data-row]").first().waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.waitForURL(/#\/jobs\//);
    await page.locator(".vrow").first().waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("status:failed");
    await page.getByText("1 of 3").waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.waitForURL(/#\/jobs\/[^/]+\/1/);
    await page.keyboard.press("u");
    await page.waitForURL(/#\/jobs\/[^/]+$/);
    await page.keyboard.press("?");
    await page.getByRole("dialog").getByText("next, previous row").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Sign out" }).focus();
    await page.keyboard.press("Enter");
    await page.waitForURL(/#\/sign-in/);
    assert.equal((await page.context().cookies()).length, 0);
    const answer = await page.evaluate("fetch('session').then((answer) => [answer.status, answer.headers.get('www-authenticate')])");
    assert.deepEqual(answer, [401, null]);
    // An address that a browser opens leads to the page.
    await page.goto(`${base}/jobs`);
    await page.waitForURL(/#\/sign-in/);
  },

  /** Somebody who may only read sees no verbs. */
  async reader(browser) {
    const page = await open(browser);
    await page.getByLabel("Token").fill(process.env.PAGE_TOKEN);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.locator("tr[data-row] a").first().click();
    await page.locator(".vrow").first().waitFor();
    await page.getByText("(read)", { exact: false }).waitFor();
    for (const verb of ["Cancel", "Delete", "Retry 1 failed", "Scan"]) assert.equal(await page.getByRole("button", { name: verb }).count(), 0, verb);
    await page.getByRole("link", { name: "CSV" }).waitFor();
  },

  /** Eight tabs over HTTP/1.1, which allows six connections: all are live. */
  async tabs(browser) {
    const first = await open(browser);
    const context = first.context();
    const pages = [first];
    for (let tab = 1; tab < 8; tab++) {
      const page = await context.newPage();
      await page.goto(`${base}/#/jobs/${process.env.PAGE_JOB}`);
      pages.push(page);
    }
    for (const page of pages) await page.getByText("Live", { exact: true }).waitFor();
    process.stdout.write("live\n");
    await told("released");
    for (const page of pages.slice(1)) await page.locator(".facts").getByText("completed", { exact: false }).waitFor();
  },

  /** A verb asks first, and says what is lost. */
  async verbs(browser) {
    const page = await open(browser, `/#/jobs/${process.env.PAGE_JOB}`);
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("dialog").getByText("What is finished stays.", { exact: false }).waitFor();
    await accessible(page, "a question");
    await page.getByRole("dialog").getByRole("button", { name: "Cancel the job" }).click();
    await page.locator(".facts").getByText("cancelled").waitFor();
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete for good" }).click();
    await page.waitForURL(/#\/$/);
    await page.getByText("There are no jobs yet.").waitFor();
  },

  /** A webhook that fails is shown with its error, is tried, and its delivery is sent again. */
  async webhooks(browser) {
    const page = await open(browser);
    await page.getByRole("link", { name: "Webhooks" }).click();
    const target = page.getByRole("table", { name: "Webhooks", exact: true });
    await target.getByText("the target answered 500").waitFor();
    await accessible(page, "webhooks");
    await target.getByRole("button", { name: "Test" }).click();
    await page.getByText("ci: the target answered 500").waitFor();
    const deliveries = page.getByRole("table", { name: "Deliveries" });
    await deliveries.getByText("job.finished").waitFor();
    await page.getByLabel("State of the deliveries").selectOption("delivered");
    await deliveries.getByText("None.").waitFor();
    await page.getByLabel("State of the deliveries").selectOption("pending");
    process.stdout.write("live\n");
    await told("repaired");
    await deliveries.getByRole("button", { name: "Send again" }).click();
    await page.getByLabel("State of the deliveries").selectOption("delivered");
    await deliveries.getByText("delivered", { exact: false }).first().waitFor();
  },

  /** Pictures for a person, of all views in two themes and three widths; nothing is wider than the window. */
  async pictures(browser) {
    for (const [width, height] of [[360, 740], [1280, 800], [3840, 2160]]) {
      for (const colorScheme of ["light", "dark"]) {
        const page = await open(browser, "/", { viewport: { width, height }, colorScheme });
        for (const [what, path] of [["jobs", ""], ["job", `jobs/${process.env.PAGE_JOB}`], ["schedules", "schedules"], ["timeline", `jobs/${process.env.PAGE_JOB}?tab=timeline`], ["repository", `jobs/${process.env.PAGE_JOB}/0`]]) {
          await page.goto(`${base}/#/${path}`);
          await page.locator("tr[data-row], .vrow, .lanes rect").first().waitFor();
          await page.waitForTimeout(400);
          const wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
          assert.ok(wide <= 0, `${what} is ${wide} pixels wider than ${width}`);
          await page.screenshot({ path: `${home}/${what}-${width}-${colorScheme}.png` });
        }
        await page.context().close();
      }
    }
  },
};

await play({ ...basics, ...network, ...views });
