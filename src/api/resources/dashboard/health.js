// The state of the service: asked once for all parts of the page that show it.

import { request, session } from "./api.js";

/** How often it is asked: while a view shows figures of it, and otherwise for the banner alone. */
const [OFTEN, SELDOM] = [5000, 30_000];
const views = new Set();
let banner = () => {};
let [asked, asking] = [0, null];

/** Asks for the state, and passes it on; whoever asks meanwhile gets the same answer. */
export function askHealth() {
  asking ??= ask().finally(() => (asking = null));
  return asking;
}

async function ask() {
  asked = Date.now();
  try {
    const health = await request("health");
    banner(health);
    for (const view of views) view(health);
  } catch {
    // The streams report when the server is away.
    for (const view of views) view(null);
  }
}

/** Shows the state in the banner. */
export function onBanner(show) {
  banner = show;
  setInterval(() => {
    const pause = views.size ? OFTEN : SELDOM;
    // Timers are not exact: one that fires early must not skip its turn.
    if (session.known && document.visibilityState === "visible" && Date.now() - asked > pause - 500) void askHealth();
  }, OFTEN);
}

/** Shows figures of the state in a view; null while the server cannot be reached. Returns how to stop. */
export function onHealth(show) {
  views.add(show);
  void askHealth();
  return () => views.delete(show);
}
