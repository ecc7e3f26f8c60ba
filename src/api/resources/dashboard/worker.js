// A SharedWorker: all tabs of the page share one connection for each stream, because HTTP/1.1 allows six to a server.

import { Stream } from "./stream.js";
import { apply, batches, newState, snapshotOf } from "./reduce.js";

const shared = new Map();

function open(path, address) {
  const one = { state: newState(path), ports: new Set(), link: "" };
  one.batches = batches((events) => {
    for (const port of one.ports) port.postMessage({ path, events });
  });
  one.stream = new Stream(address, {
    event(event) {
      apply(one.state, event);
      one.batches.add(event);
    },
    state(link) {
      one.link = link;
      for (const port of one.ports) port.postMessage({ path, link });
    },
  });
  shared.set(path, one);
  return one;
}

function leave(port, path) {
  const one = shared.get(path);
  if (!one?.ports.delete(port) || one.ports.size) return;
  one.stream.close();
  one.batches.stop();
  shared.delete(path);
}

globalThis.onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data: { follow, address, leave: left, bye } }) => {
    if (bye) for (const path of [...shared.keys()]) leave(port, path);
    else if (left) leave(port, left);
    else if (follow) {
      let one = shared.get(follow);
      // One that has ended, or whose user signed out, begins again.
      if (one && ["ended", "signed-out", "gone"].includes(one.link) && !one.ports.size) one = undefined;
      one ??= open(follow, address);
      one.ports.add(port);
      if (one.state.known) port.postMessage({ path: follow, events: [snapshotOf(one.state)] });
      if (one.link) port.postMessage({ path: follow, link: one.link });
    }
  };
  port.start();
};
