// Measures the page in a browser of its own. Input: the address of the server, its jobs folder. Output: a table.

import { createServer } from "node:http";
import { renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const [base, jobs] = process.argv.slice(2);
const require = createRequire(`${process.env.PAGE_TOOLS}/node_modules/`);
const { chromium } = require("playwright-core");
const ROUNDS = 15;
const SLOWER = 4;

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"] });
const middle = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const worst = (values) => Math.max(...values);
const print = (what, values, unit) => console.log(`${what.padEnd(66)} ${middle(values).toFixed(unit === "ms" ? 0 : 1).padStart(8)} ${worst(values).toFixed(unit === "ms" ? 0 : 1).padStart(8)}  ${unit}`);

/** Notes when the first element that a selector names exists: on the clock of the page, which begins with its request. */
function noteFirst(selector) {
  new MutationObserver((_, observer) => {
    if (!document.querySelector(selector)) return;
    observer.disconnect();
    // When it is drawn, and the scripts that came with it are done.
    requestAnimationFrame(() => setTimeout(() => (window.drawnAt = performance.now())));
  }).observe(document, { childList: true, subtree: true });
}

async function open(address, slower, selector) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("Emulation.setCPUThrottlingRate", { rate: slower });
  // The time of the thread, which other programs do not prolong.
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  await page.addInitScript(noteFirst, selector);
  await page.goto(address);
  await page.waitForFunction(() => window.drawnAt);
  return { context, page, session };
}

/** The processor time of the page's thread so far, in milliseconds. */
async function worked(session) {
  const { metrics } = await session.send("Performance.getMetrics");
  return 1000 * metrics.find(({ name }) => name === "TaskDuration").value;
}

const firstPaint = (page) => page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime");

/** A page of one line, which is the limit of this browser on this machine. */
async function barePage() {
  const server = createServer((_, answer) => answer.writeHead(200, { "Content-Type": "text/html" }).end("<!doctype html><title>bare</title><p>Loading…</p>"));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { address: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

async function opening() {
  const [paint, ready, work, limit] = [[], [], [], []];
  const bare = await barePage();
  for (let round = 0; round < ROUNDS; round++) {
    const { context, page } = await open(`${base}/`, SLOWER, "tr[data-row]");
    paint.push(await firstPaint(page));
    ready.push(await page.evaluate("window.drawnAt"));
    await context.close();
    const other = await open(bare.address, SLOWER, "p");
    limit.push(await firstPaint(other.page));
    await other.context.close();
    const alone = await open(`${base}/`, 1, "tr[data-row]");
    work.push(await worked(alone.session));
    await alone.context.close();
  }
  bare.close();
  print(`first paint, nothing cached, a processor ${SLOWER} times slower`, paint, "ms");
  print("the same of a page of one line, which is the limit", limit, "ms");
  print("the list of jobs is drawn and its fields work, as slow", ready, "ms");
  print("processor time of the page's thread until then, not slower", work, "ms");
}

async function drawing(slower) {
  const [times, work] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    const { context, page, session } = await open(`${base}/#/jobs/other-1`, slower, ".vrow");
    const before = await worked(session);
    times.push(await page.evaluate(() => new Promise((resolve) => {
      const begun = performance.now();
      const drawn = () => {
        const table = document.querySelector('[role="table"]');
        if (table?.getAttribute("aria-rowcount") !== "10001" || !table.querySelector(".vrow")) return requestAnimationFrame(drawn);
        requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begun)));
      };
      location.hash = "#/jobs/large";
      requestAnimationFrame(drawn);
    })));
    work.push(await worked(session) - before);
    await context.close();
  }
  print(`10,000 repositories, from the click to their rows${slower > 1 ? `, ${slower} times slower` : ""}`, times, "ms");
  if (slower === 1) print("processor time of the page's thread for that", work, "ms");
}

async function scrolling() {
  const { context, page, session } = await open(`${base}/#/jobs/large`, 1, ".vrow");
  let number = 0;
  const timer = setInterval(() => {
    const index = (number * 97) % 10_000;
    number += 1;
    writeFileSync(`${jobs}/.staging/bench.tmp`, JSON.stringify({
      repo_index: index, repo_name: `group/part-${index}`, status: "scanning", total_files: 1000, current_file: number % 1000,
      message: `reads file ${number}`, started_at: "2026-01-01T00:00:00Z", last_update: new Date().toISOString(),
    }));
    renameSync(`${jobs}/.staging/bench.tmp`, `${jobs}/large/repo_${index}.json`);
  }, 10);
  const frames = [];
  for (let round = 0; round < 5; round++) {
    frames.push(await page.evaluate(() => new Promise((resolve) => {
      const scroller = document.querySelector(".vscroll");
      const begun = performance.now();
      let count = 0;
      const step = () => {
        count += 1;
        scroller.scrollTop += 40;
        const took = performance.now() - begun;
        if (took >= 3000) resolve((1000 * count) / took);
        else requestAnimationFrame(step);
      };
      requestAnimationFrame(step);
    })));
  }
  clearInterval(timer);
  const sorted = [...frames].sort((a, b) => a - b);
  console.log(`${`frames a second, scrolling, ${Math.round(number / 15)} changes a second`.padEnd(66)} ${sorted[2].toFixed(1).padStart(8)} ${sorted[0].toFixed(1).padStart(8)}  a second`);
  for (let round = 0; round < 3; round++) await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  print("the heap of the page with 10,000 repositories", [usedSize / 1e6], "MB");
  await context.close();
}

console.log(`${"".padEnd(66)} ${"median".padStart(8)} ${"worst".padStart(8)}`);
await opening();
await drawing(1);
await drawing(SLOWER);
await scrolling();
await browser.close();
