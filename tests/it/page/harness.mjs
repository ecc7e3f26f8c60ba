// The browser, and what all scenarios check: no error, no request to another origin, nothing that the policy of the page
// forbids, no violation of the rules of axe.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

export const [name, base, home] = process.argv.slice(2);
const require = createRequire(`${process.env.PAGE_TOOLS}/node_modules/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const words = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const patience = 60_000;

/** Waits for a word of the test. */
export async function told(word) {
  const { value } = await words.next();
  assert.equal(value, word);
}

/** What went wrong on any page, and what was asked of other origins. */
export const faults = [];

/** Opens a page in a context of its own. Every page of the context is watched, those that it opens itself too. */
export async function open(browser, path = "/", options = {}) {
  const { at = base, waitUntil = "load", ...rest } = options;
  const context = await browser.newContext({ reducedMotion: "reduce", ...rest });
  context.setDefaultTimeout(patience);
  context.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(at).origin && !request.url().startsWith("data:")) faults.push(`asked ${request.url()}`);
  });
  // Reported by the document itself, because the console has no word for what a policy forbids without an error.
  await context.exposeFunction("reportForbidden", (what) => faults.push(`forbidden: ${what}`));
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => reportForbidden(`${event.effectiveDirective} ${event.blockedURI}`));
  });
  context.on("page", watch);
  const page = await context.newPage();
  await page.goto(at + path, { waitUntil });
  return page;
}

function watch(page) {
  page.on("pageerror", (error) => faults.push(`${error.message} ${error.stack}`));
  page.on("console", (message) => {
    const text = message.text();
    // What a browser says about a refused sign-in, a server that is away, or a page without its job.
    const expected = /status of (400|401|404|409|416|422|429|502|503)|ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INTERNET_DISCONNECTED/;
    if (message.type() === "error" && !expected.test(text)) faults.push(text);
  });
}

/** Checks a page by the rules of axe, in both themes. */
export async function accessible(page, what) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const found = await page.evaluate(`${axe}; axe.run(document, { resultTypes: ["violations"] })`);
    const shown = found.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html).slice(0, 3).join(" ")}`);
    assert.deepEqual(shown, [], `${what}, ${colorScheme}`);
  }
}

/** Starts the browser. Chromium sometimes crashes while it starts, before it has seen anything of the page. */
async function launch() {
  for (let attempt = 1; ; attempt++) {
    try {
      return await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"] });
    } catch (error) {
      if (attempt === 3 || !/signal=SIG(SEGV|TRAP|ABRT|BUS|ILL)/.test(error.message)) throw error;
      console.error(`the browser crashed at its start: ${error.message.split("\n")[0]}`);
    }
  }
}

/** Plays one scenario; exits with 1 if it fails, or if anything went wrong on a page. */
export async function play(scenarios) {
  const browser = await launch();
  let code = 0;
  try {
    await scenarios[name](browser);
    assert.deepEqual(faults, []);
  } catch (error) {
    console.error(error);
    const pages = browser.contexts().flatMap((context) => context.pages());
    for (const page of pages.slice(-1)) console.error(page.url(), (await page.locator("body").innerText().catch(() => "")).slice(0, 3000));
    console.error(faults);
    code = 1;
  }
  await browser.close();
  process.exit(code);
}
