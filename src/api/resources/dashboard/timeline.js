// Where the time of a group goes: each slot is a lane, each scan a bar from its start to its end; and why there are fewer slots than
// the settings allow.

import { fill, h, svg, text } from "./dom.js";
import { at, duration, isFinal, kindOf, number } from "./format.js";
import { onHealth } from "./health.js";

const LANE = 18;
const LEFT = 34;
/** More bars than this are not drawn one by one. */
const MOST = 4000;

export function timeline({ onopen }) {
  const drawing = svg("svg", { class: "lanes", role: "img", "aria-label": "Timeline" });
  const note = h("p.faint");
  const why = h("div.note", { role: "status" });
  const element = h("div.timeline", null, note, why, drawing);
  let rows = [];
  let width = 0;

  function lanes() {
    const started = rows.filter((row) => row.started_at && kindOf(row.status) !== "waiting");
    started.sort((a, b) => at(a.started_at) - at(b.started_at));
    const ends = [];
    return started.map((row) => {
      const from = at(row.started_at);
      const to = isFinal(row.status) ? Math.max(from, at(row.completed_at ?? row.last_update)) : Date.now();
      let lane = ends.findIndex((end) => end <= from);
      if (lane < 0) lane = ends.length;
      ends[lane] = to;
      return { row, from, to, lane };
    });
  }

  function draw() {
    const bars = lanes();
    width = element.clientWidth || 800;
    if (!bars.length) {
      fill(drawing);
      note.textContent = "Nothing has started yet.";
      drawing.setAttribute("aria-label", note.textContent);
      return;
    }
    const first = Math.min(...bars.map((bar) => bar.from));
    const last = Math.max(...bars.map((bar) => bar.to), first + 1000);
    const count = Math.max(...bars.map((bar) => bar.lane)) + 1;
    const x = (moment) => LEFT + ((moment - first) / (last - first)) * (width - LEFT - 8);
    const height = count * LANE + 22;
    const busy = bars.reduce((sum, bar) => sum + bar.to - bar.from, 0);
    const longest = bars.reduce((a, b) => (b.to - b.from > a.to - a.from ? b : a));
    note.textContent = `${number(bars.length)} scans in ${number(count)} slots over ${duration((last - first) / 1000)}; the slots were busy ${Math.round((100 * busy) / (count * (last - first)))} % of the time; the longest scan, ${longest.row.repo_name}, took ${duration((longest.to - longest.from) / 1000)}.`;
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.setAttribute("width", width);
    drawing.setAttribute("height", height);
    drawing.setAttribute("aria-label", note.textContent);
    const shown = bars.length > MOST ? [...bars].sort((a, b) => b.to - b.from - (a.to - a.from)).slice(0, MOST) : bars;
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => {
      const at = first + part * (last - first);
      return [svg("line", { x1: x(at), x2: x(at), y1: 0, y2: height - 16, class: "tick" }), svg("text", { x: x(at), y: height - 4, "text-anchor": part === 1 ? "end" : part ? "middle" : "start" }, `+${duration((part * (last - first)) / 1000)}`)];
    });
    fill(
      drawing, ticks,
      Array.from({ length: count }, (_, lane) => svg("text", { x: 2, y: lane * LANE + 13 }, String(lane + 1))),
      shown.map(({ row, from, to, lane }) => {
        const bar = svg("rect", { x: x(from), y: lane * LANE + 2, width: Math.max(1.5, x(to) - x(from) - 0.5), height: LANE - 4, rx: 2, class: kindOf(row.status) },
          svg("title", null, `${row.repo_name}: ${row.status}, ${duration((to - from) / 1000)}${row.error ? `: ${row.error}` : ""}`));
        bar.addEventListener("click", () => onopen(row));
        return bar;
      }),
    );
  }

  /** As long as the job is not finished, shows why fewer slots than the ceiling are in use: "3 of 8 slots: memory pressure". */
  let leave = null;
  function explain(job) {
    if (!job || isFinal(job.status)) {
      leave?.();
      leave = null;
      text(why, "");
      return;
    }
    leave ??= onHealth((health) => text(why, health?.scanners?.limited_by ?? ""));
  }

  let timer = null;
  const soon = () => {
    timer ??= setTimeout(() => {
      timer = null;
      draw();
    }, 250);
  };
  const observer = new ResizeObserver(() => element.clientWidth !== width && soon());
  observer.observe(element);
  return {
    element,
    set(next, job) {
      rows = next;
      explain(job);
      soon();
    },
    tick: soon,
    stop() {
      observer.disconnect();
      leave?.();
      clearTimeout(timer);
    },
  };
}
