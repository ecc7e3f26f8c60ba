// Follows streams: through the shared worker, or alone where the browser has none.

import { address } from "./api.js";
import { apply, batches, newState } from "./reduce.js";
import { Stream } from "./stream.js";

let port = null;
const followers = new Map();

/** The worker, which is best started before there is something to follow. */
export function worker() {
  if (port || typeof SharedWorker === "undefined") return port;
  try {
    port = new SharedWorker(address("page/worker.js"), { type: "module", name: "scanwatch" }).port;
  } catch {
    return null;
  }
  port.onmessage = ({ data: { path, events, link } }) => {
    const follower = followers.get(path);
    if (!follower) return;
    if (events) follower.take(events);
    if (link) follower.on.link(link);
  };
  port.start();
  addEventListener("pagehide", () => port.postMessage({ bye: true }));
  addEventListener("pageshow", (event) => {
    if (event.persisted) for (const path of followers.keys()) port.postMessage({ follow: path, address: address(path) });
  });
  return port;
}

/** Follows a stream. `on.change(state, events)` at most four times a second, `on.link(state)`. Returns how to stop. */
export function follow(path, on) {
  const state = newState(path);
  const take = (events) => {
    for (const event of events) apply(state, event);
    on.change(state, events);
  };
  const follower = { on, take };
  followers.set(path, follower);
  on.link("connecting");
  const shared = worker();
  if (shared) {
    shared.postMessage({ follow: path, address: address(path) });
    return () => {
      if (followers.get(path) === follower) followers.delete(path);
      shared.postMessage({ leave: path });
    };
  }
  const batched = batches(take);
  const stream = new Stream(address(path), {
    event: (event) => batched.add(event),
    state: (link) => on.link(link),
  });
  return () => {
    followers.delete(path);
    batched.stop();
    stream.close();
  };
}
