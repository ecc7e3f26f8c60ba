// The page over a network as it is: slow, behind a proxy with a path, silent; and what it keeps of a day's changes.

import assert from "node:assert/strict";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { accessible, base, faults, open } from "./harness.mjs";

const job = process.env.PAGE_JOB;

/** A link to the server: a relay of bytes with a delay and a rate, that can fall silent without closing anything. */
async function link({ delay, rate }) {
  const { hostname, port } = new URL(base);
  const relays = new Set();
  let silent = false;
  const pass = (from, to) => {
    const queue = [];
    let free = 0;
    let [timer, ended] = [null, false];
    const next = () => {
      timer = null;
      if (silent || to.destroyed) return;
      if (!queue.length) return void (ended && to.end());
      const wait = queue[0].due - Date.now();
      if (wait > 0) return void (timer = setTimeout(next, wait));
      to.write(queue.shift().bytes);
      next();
    };
    const wake = () => timer ?? next();
    from.on("data", (bytes) => {
      // The link carries one byte after the other.
      free = Math.max(free, Date.now()) + (1000 * bytes.length) / rate;
      queue.push({ bytes, due: free + delay });
      wake();
    });
    from.on("end", () => {
      ended = true;
      wake();
    });
    from.on("error", () => to.destroy());
    from.on("close", () => ended || to.destroy());
    relays.add(wake);
  };
  const server = createServer((client) => {
    const upstream = connect(port, hostname);
    pass(client, upstream);
    pass(upstream, client);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    at: `http://127.0.0.1:${server.address().port}`,
    silence(now) {
      silent = now;
      if (!silent) for (const wake of relays) wake();
    },
    close: () => server.close(),
  };
}

/** The memory that the page uses after its garbage is collected, with its nodes and listeners. */
async function memory(session) {
  for (let round = 0; round < 3; round++) await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  const { nodes, jsEventListeners } = await session.send("Memory.getDOMCounters");
  return { usedSize, nodes, jsEventListeners };
}

/** Sends commands to the shared worker, through the browser: a worker has no page. */
async function workerSession(browser) {
  const session = await browser.newBrowserCDPSession();
  const { targetInfos } = await session.send("Target.getTargets", { filter: [{ type: "shared_worker" }] });
  const { sessionId } = await session.send("Target.attachToTarget", { targetId: targetInfos[0].targetId, flatten: false });
  const answers = new Map();
  session.on("Target.receivedMessageFromTarget", ({ message }) => {
    const { id, result } = JSON.parse(message);
    answers.get(id)?.(result);
  });
  let last = 0;
  const send = (method) => new Promise((resolve) => {
    last += 1;
    answers.set(last, resolve);
    void session.send("Target.sendMessageToTarget", { sessionId, message: JSON.stringify({ id: last, method }) });
  });
  return async () => {
    for (let round = 0; round < 3; round++) await send("HeapProfiler.collectGarbage");
    return (await send("Runtime.getHeapUsage")).usedSize;
  };
}

export const network = {
  /** Over a slow link the page shows what it waits for, and then works. */
  async slow(browser) {
    const slow = await link({ delay: 400, rate: 40_000 });
    const page = await open(browser, "/", { at: slow.at, waitUntil: "commit" });
    await page.getByText(/Loading…|Waiting for the list of jobs…/).first().waitFor();
    await page.getByText("Waiting for the list of jobs…").waitFor();
    await page.getByText("Connecting…").waitFor();
    await page.locator("tr[data-row] a").first().click();
    await page.getByText(/Loading…|Waiting for the state of the job…/).first().waitFor();
    await page.locator(".vrow").first().waitFor();
    await page.getByText("Finished", { exact: true }).waitFor();
    slow.close();
  },

  /** The page's own requests are slow, as the browser's tools make them; the answers still come, and each view is usable. */
  async throttled(browser) {
    const page = await open(browser, `/#/jobs/${job}`);
    await page.locator(".vrow").first().waitFor();
    const session = await page.context().newCDPSession(page);
    await session.send("Network.enable");
    await session.send("Network.emulateNetworkConditions", { offline: false, latency: 500, downloadThroughput: 30_000, uploadThroughput: 30_000 });
    await page.locator(".vrow a").filter({ hasText: "part-0" }).click();
    await page.getByText("Waiting for the state of the repository…").waitFor();
    await page.locator("tr[data-row]").filter({ hasText: "left-pad" }).waitFor();
    await page.getByRole("tab", { name: "Log" }).click();
    await page.locator(".log li").filter({ hasText: "a line of the log" }).waitFor();
    // Nothing comes any more: whoever asks gets an answer of the page, and can try again.
    await session.send("Network.emulateNetworkConditions", { offline: true, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
    await page.getByRole("tab", { name: "Packages" }).click();
    await page.getByText("The server cannot be reached").waitFor();
    await session.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
    await page.getByRole("button", { name: "Try again" }).click();
    await page.locator("tr[data-row]").filter({ hasText: "left-pad" }).waitFor();
  },

  /** A connection that is open and silent is noticed within 20 s; what is old looks old, and is new again afterwards. */
  async stall(browser) {
    const quiet = await link({ delay: 0, rate: 1e9 });
    const page = await open(browser, `/#/jobs/${job}`, { at: quiet.at });
    await page.getByText("Live", { exact: true }).waitFor();
    await page.locator(".vrow").first().waitFor();
    assert.equal(await page.locator("main.old").count(), 0);
    quiet.silence(true);
    const begun = Date.now();
    await page.locator("#link").filter({ hasText: "this may be out of date" }).waitFor();
    assert.ok(Date.now() - begun <= 20_000, `noticed after ${Date.now() - begun} ms`);
    assert.equal(await page.locator("main.old > *").first().evaluate((element) => getComputedStyle(element).filter), "grayscale(1)");
    // What may have ended long ago does not seem to run on.
    const elapsed = await page.locator("#elapsed").innerText();
    await page.waitForTimeout(2500);
    assert.equal(await page.locator("#elapsed").innerText(), elapsed);
    // For those who do not see it.
    await page.locator("#news").filter({ hasText: "this may be out of date" }).waitFor({ state: "attached" });
    await accessible(page, "a silent server");
    quiet.silence(false);
    await page.getByText("Live", { exact: true }).waitFor();
    await page.locator("main.old").waitFor({ state: "detached" });
    quiet.close();
  },

  /** Below a path of a proxy: the page, its modules, its worker, the streams, the downloads and the sign-in. */
  async prefix(browser) {
    const page = await open(browser, "/scanwatch/");
    await page.waitForURL(/\/scanwatch\/#\/sign-in/);
    await page.getByLabel("Name").fill("operator");
    await page.getByLabel("Password").fill("s3cret");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.locator("tr[data-row] a").first().click();
    await page.locator(".vrow").first().waitFor();
    await page.getByText("Finished", { exact: true }).waitFor();
    const { targetInfos } = await (await browser.newBrowserCDPSession()).send("Target.getTargets", { filter: [{ type: "shared_worker" }] });
    assert.deepEqual(targetInfos.map((one) => one.url), [`${base}/scanwatch/page/worker.js`]);
    const [csv] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "CSV" }).click()]);
    assert.ok(await csv.path());
    await page.locator(".vrow a").filter({ hasText: "part-0" }).click();
    await page.locator("tr[data-row]").filter({ hasText: "left-pad" }).waitFor();
    await page.getByRole("link", { name: "API" }).click();
    await page.waitForURL(/\/scanwatch\/docs/);
    await page.goBack();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.waitForURL(/\/scanwatch\/#\/sign-in/);
  },

  /** The checks of the other scenarios: what the policy forbids, and a request to another origin, are faults. */
  async policy(browser) {
    const page = await open(browser);
    await page.getByText("There are no jobs yet.").waitFor();
    assert.deepEqual(faults, []);
    await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.ran = true";
      document.body.append(script);
      const image = new Image();
      image.src = "https://elsewhere.example/x.png";
      document.body.append(image);
      document.body.setAttribute("style", "color: red");
      return fetch("https://elsewhere.example/").catch(() => {});
    });
    for (const directive of ["script-src-elem inline", "img-src https://elsewhere.example", "style-src-attr inline", "connect-src https://elsewhere.example"]) {
      for (let turn = 0; turn < 100 && !faults.some((fault) => fault.includes(directive)); turn++) await page.waitForTimeout(50);
      assert.ok(faults.some((fault) => fault.includes(directive)), `${directive}: ${faults}`);
    }
    assert.equal(await page.evaluate("window.ran"), undefined);
    faults.length = 0;
  },

  /** Ten thousand changes, as many as a group of that size has in a day, in a few seconds: neither the page nor its worker keeps any of them. */
  async day(browser) {
    const [count, folder] = [20, `${process.env.PAGE_JOBS}/day`];
    const replace = (name, document) => {
      writeFileSync(`${process.env.PAGE_JOBS}/.staging/day.tmp`, JSON.stringify(document));
      renameSync(`${process.env.PAGE_JOBS}/.staging/day.tmp`, `${folder}/${name}`);
    };
    const write = (index, number) => replace(`repo_${index}.json`, {
      repo_index: index, repo_name: `part-${index}`, status: number % 7 === 6 ? "analyzing" : "scanning", started_at: "2026-01-01T00:00:00Z",
      last_update: new Date().toISOString(), total_files: 1_000_000, current_file: number, current_filename: `file-${number}.lock`,
    });
    mkdirSync(folder);
    replace("master.json", { job_id: "day", group_url: "https://gitlab.com/acme", total_repositories: count, status: "in_progress", started_at: "2026-01-01T00:00:00Z" });
    for (let index = 0; index < count; index++) write(index, 0);
    const page = await open(browser, "/#/jobs/day");
    await page.locator(".vrow").first().waitFor();
    const session = await page.context().newCDPSession(page);
    const ofWorker = await workerSession(browser);
    let number = 0;
    const replay = async (changes) => {
      for (const last = number + changes; number < last; number++) {
        write(number % count, number);
        // The browser, which shares the machine, has its turn.
        if (number % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      }
      await page.locator(".vrow").filter({ hasText: `file-${number - 1}.lock` }).waitFor();
    };
    await replay(2000);
    const [before, workerBefore] = [await memory(session), await ofWorker()];
    await replay(8000);
    const [after, workerAfter] = [await memory(session), await ofWorker()];
    const grown = after.usedSize - before.usedSize;
    assert.ok(grown < 500_000, `the page grew by ${grown} bytes`);
    assert.ok(workerAfter - workerBefore < 500_000, `the worker grew by ${workerAfter - workerBefore} bytes`);
    assert.ok(after.nodes - before.nodes < 1000, `${after.nodes - before.nodes} nodes more`);
    assert.ok(after.jsEventListeners - before.jsEventListeners < 200, `${after.jsEventListeners - before.jsEventListeners} listeners more`);
  },
};
