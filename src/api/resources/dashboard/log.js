// The log of a repository: followed, searched, and with an address for each line.

import { setParameters } from "./shell.js";
import { address, download } from "./api.js";
import { curl } from "./commands.js";
import { announce, copier, fill, h, text } from "./dom.js";
import { bytes, number } from "./format.js";

/** A longer log is shown from its end; its lines have numbers once all of it is asked for. */
const WHOLE = 2_000_000;
const TAIL = 5000;
/** How many lines are kept, and how many of them are elements at once. */
const [KEPT, DRAWN] = [200_000, 3000];
/** How many found lines are counted, and how many characters of a line are shown. */
const [HITS, LONG] = [10_000, 4000];

/** Shows the log below `path`. `line`: the number of a line to show, or NaN. `onerror` shows an error. Returns how to stop. */
export function logPanel(panel, { path, name, line, isFinal, onerror }) {
  let abort = new AbortController();
  let target = Number.isInteger(line) && line > 0 ? line : null;
  // Lines by number: `first` is that of `lines[0]`, and those from `from` up to `to` are elements.
  let [lines, first, from, to, rest, numbered, reading] = [[], 1, 1, 1, "", true, true];
  let [word, hits, searched, current] = ["", [], 1, -1];

  const search = h("input", { type: "search", "data-filter": "", placeholder: "Search the log", "aria-label": "Search the log", maxlength: "200" });
  const found = h("span.faint", { role: "status" });
  const step = (label, by) => h("button", { type: "button", "aria-label": label, title: label, disabled: true, onclick: () => go(by) }, by > 0 ? "↓" : "↑");
  const [previous, next] = [step("Previous found line (Shift+Enter)", -1), step("Next found line (Enter)", 1)];
  const follow = h("input", { type: "checkbox", checked: target === null });
  const place = h("span.faint", { role: "status" });
  const all = h("button", { type: "button", hidden: true, onclick: () => begin(true) });
  const link = copier("copy link", () => location.href, "The address of the marked line");
  const list = h("ol.log", { tabIndex: 0, "aria-label": "Log" });
  const [earlier, later] = [-1, 1].map((by) => h("button", { type: "button", hidden: true, onclick: () => move(by) }));
  link.hidden = target === null;
  fill(
    panel,
    h("div.tools", null, search, previous, next, found, h("label.check", null, follow, " follow"), place, link, all, h("span.grow"),
      copier("copy as curl", () => curl(`${path}/log`)), h("a", { href: address(`${path}/log`), download: name }, "Download")),
    earlier, list, later,
  );

  const end = () => first + lines.length;
  const fits = (line) => word !== "" && line.toLowerCase().includes(word);

  /** A line, with what was searched for marked. */
  function item(number) {
    const line = lines[number - first];
    const shown = line.length > LONG ? line.slice(0, LONG) : line;
    const lower = shown.toLowerCase();
    const parts = [];
    let at = 0;
    // A few letters have lower-case forms of another length: then the places do not fit.
    for (let hit = word && lower.length === shown.length ? lower.indexOf(word) : -1; hit >= 0 && parts.length < 100; hit = lower.indexOf(word, at)) {
      parts.push(shown.slice(at, hit), h("mark", null, shown.slice(hit, hit + word.length)));
      at = hit + word.length;
    }
    parts.push(shown.slice(at), line.length > LONG && h("span.faint", null, ` … ${line.length - LONG} more characters`));
    const classes = [fits(line) && "hit", number === target && "target", number === hits[current] && "current"].filter(Boolean);
    const address = numbered && h("a.number", { href: lineAddress(number), tabIndex: -1, "aria-label": `line ${number}`, onclick: (event) => {
      event.preventDefault();
      mark(number);
    } }, String(number));
    return h(["li", ...classes].join("."), { "data-row": number, tabIndex: -1, "aria-current": number === hits[current] ? "true" : null }, address, h("span", { dir: "auto" }, parts));
  }

  const lineAddress = (number) => `${location.hash.split("?")[0]}?tab=log&line=${number}`;

  /** Makes the lines of the window elements; those that are elements stay. */
  let [drawnFrom, drawnTo] = [1, 1];
  function draw() {
    if (follow.checked) [from, to] = [Math.max(first, end() - DRAWN), end()];
    else to = Math.max(to, Math.min(end(), from + DRAWN));
    from = Math.max(from, first);
    if (drawnFrom > from || drawnTo < from || drawnTo > to) {
      list.replaceChildren();
      drawnFrom = drawnTo = from;
    }
    for (; drawnFrom < from; drawnFrom++) list.firstChild?.remove();
    const added = document.createDocumentFragment();
    for (; drawnTo < to; drawnTo++) added.append(item(drawnTo));
    list.append(added);
    const edge = (button, word, count) => {
      button.hidden = count <= 0;
      text(button, `${number(count)} ${word} lines`);
    };
    edge(earlier, "earlier", from - first);
    edge(later, "later", end() - to);
    if (follow.checked) list.scrollTop = list.scrollHeight;
  }

  function redraw() {
    const focused = list.contains(document.activeElement) ? document.activeElement.closest("[data-row]")?.dataset.row : undefined;
    drawnTo = drawnFrom = from;
    list.replaceChildren();
    draw();
    if (focused) list.querySelector(`[data-row="${focused}"]`)?.focus({ preventScroll: true });
  }

  /** Moves the window by most of its size. */
  function move(by) {
    follow.checked = false;
    from = Math.max(first, Math.min(end() - 1, by > 0 ? to - 100 : from - DRAWN + 100));
    to = Math.min(end(), from + DRAWN);
    redraw();
    list.scrollTop = by > 0 ? 0 : list.scrollHeight;
  }

  /** Brings a line into sight. */
  function reveal(number) {
    follow.checked = false;
    if (number < from || number >= to) {
      from = Math.max(first, number - DRAWN / 2);
      to = Math.min(end(), from + DRAWN);
    }
    redraw();
    const element = list.children[number - from];
    // Only the log scrolls, not the page around it.
    if (element) list.scrollTop = element.offsetTop - list.offsetTop - list.clientHeight / 2;
    return element;
  }

  /** Marks a line, and puts it into the address. */
  function mark(number) {
    target = number;
    setParameters({ tab: "log", line: String(number) });
    link.hidden = false;
    const top = list.scrollTop;
    follow.checked = false;
    redraw();
    list.scrollTop = top;
    list.children[number - from]?.focus({ preventScroll: true });
    announce(`Line ${number} is marked, and in the address of the page`);
  }

  /** Searches what has been read since. */
  function find() {
    if (word) {
      for (let number = Math.max(searched, first); number < end() && hits.length < HITS; number++) if (fits(lines[number - first])) hits.push(number);
    }
    searched = end();
    const many = hits.length >= HITS ? "+" : "";
    text(found, word ? `${current >= 0 ? `${number(current + 1)} of ` : ""}${number(hits.length)}${many} ${hits.length === 1 ? "line" : "lines"}` : "");
    previous.disabled = next.disabled = hits.length === 0;
  }

  /** Goes to the next or the previous found line, and around the ends. */
  function go(by) {
    if (!hits.length) return;
    current = current < 0 ? (by > 0 ? 0 : hits.length - 1) : (current + by + hits.length) % hits.length;
    if (hits[current] < first) return drop();
    find();
    reveal(hits[current]);
  }

  /** Forgets found lines that are not kept any more. */
  function drop() {
    hits = hits.filter((number) => number >= first);
    current = -1;
    find();
  }

  function add(chunk) {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop();
    for (const part of parts) lines.push(part);
    if (lines.length > KEPT) {
      const surplus = lines.length - KEPT + KEPT / 10;
      lines.splice(0, surplus);
      first += surplus;
      drop();
    }
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      show();
    });
  }

  let frame = 0;
  let waitsFor = target;
  function show() {
    draw();
    if (word) find();
    if (waitsFor !== null && waitsFor < end()) {
      reveal(Math.max(first, waitsFor))?.focus({ preventScroll: true });
      waitsFor = null;
    }
    text(place, waitsFor !== null && !reading ? `The log has no line ${number(waitsFor)}.` : lines.length || reading ? "" : "The log is empty.");
  }

  /** Reads all of the log, or its end if it is long and no line of it is wanted. */
  async function begin(whole) {
    abort.abort();
    abort = new AbortController();
    const { signal } = abort;
    [lines, first, from, to, rest, reading] = [[], 1, 1, 1, "", true];
    [hits, searched, current] = [[], 1, -1];
    try {
      const size = whole ? 0 : await length(signal);
      numbered = size <= WHOLE;
      all.hidden = numbered;
      text(all, `Read all ${bytes(size)}, with numbers`);
      redraw();
      const answer = await download(`${path}/log?follow=true${numbered ? "" : `&tail=${TAIL}`}`, { signal });
      const reader = answer.body.getReader();
      const decoder = new TextDecoder();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        add(decoder.decode(value, { stream: true }));
      }
      reading = false;
      if (rest) add("\n");
      show();
    } catch (error) {
      if (error.name === "AbortError") return;
      reading = false;
      if (error.status === 404) fill(panel, h("p.note", null, "There is no log."));
      else if (lines.length) text(place, "The log cannot be followed any more: open this tab again.");
      else onerror(error);
    }
  }

  /** The size of the log so far. */
  async function length(signal) {
    try {
      const answer = await download(`${path}/log`, { signal, headers: { Range: "bytes=0-0" } });
      await answer.arrayBuffer();
      return Number(answer.headers.get("Content-Range")?.split("/")[1] ?? 0);
    } catch (error) {
      // An empty log has no first byte, and one that is still to come can be waited for.
      if (error.status === 416 || (error.status === 404 && !isFinal)) return 0;
      throw error;
    }
  }

  let timer = null;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      [word, hits, searched, current] = [search.value.toLowerCase(), [], first, -1];
      find();
      if (hits.length) go(1);
      else redraw();
    }, 150);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") go(event.shiftKey ? -1 : 1);
  });
  follow.addEventListener("change", () => follow.checked && draw());
  list.addEventListener("keydown", (event) => {
    const row = Number(event.target.closest?.("[data-row]")?.dataset.row);
    if (event.key === "Enter" && numbered && row) mark(row);
  });
  list.addEventListener("scroll", () => {
    // Whoever scrolls up wants to read.
    if (follow.checked && list.scrollHeight - list.scrollTop - list.clientHeight > 100) follow.checked = false;
  }, { passive: true });
  void begin(target !== null);
  return () => {
    abort.abort();
    clearTimeout(timer);
    cancelAnimationFrame(frame);
  };
}
