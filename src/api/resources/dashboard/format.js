// How states, times and numbers are shown.

import { h } from "./dom.js";

/** The sign and the kind of each state. The kind decides the colour; the sign distinguishes states without colour. */
const STATES = {
  pending: ["○", "waiting"], initializing: ["○", "waiting"], interrupted: ["↻", "waiting"],
  starting: ["◔", "running"], cloning: ["◔", "running"], downloading: ["◔", "running"], extracting: ["◔", "running"],
  scanning: ["◑", "running"], analyzing: ["◕", "running"], running: ["◑", "running"], in_progress: ["◑", "running"],
  completed: ["✓", "done"], completed_with_errors: ["!", "partly"],
  failed: ["✗", "failed"], all_failed: ["✗", "failed"], timeout: ["⏱", "failed"], cancelled: ["⊘", "failed"],
  skipped: ["–", "waiting"],
};

/** A place in the queue, from 1. */
export const place = (position) => (position === 1 ? "next in the queue" : `place ${number(position)} in the queue`);

/** The kind of a state: waiting, running, done, partly, failed. */
export const kindOf = (state) => (STATES[state] ?? ["?", "waiting"])[1];

/** The sign of a state. */
export const signOf = (state) => (STATES[state] ?? ["?"])[0];

/** Whether a state is final. */
export const isFinal = (state) => ["done", "partly", "failed"].includes(kindOf(state));

/** A state with its sign. */
export function badge(state) {
  const [sign, kind] = STATES[state] ?? ["?", "waiting"];
  return h(`span.state.${kind}`, null, h("span", { "aria-hidden": "true" }, sign), " ", String(state ?? "unknown").replaceAll("_", " "));
}

/** Milliseconds since 1970 of a time of the API; NaN where there is none. */
export const at = (time) => (time ? Date.parse(time) : NaN);

/** Made when they are needed, because each takes as long as all other scripts of the page. */
let [clock, thousands] = [null, null];

/** A time in the zone of the reader, with the time in UTC as its title. */
export function time(value) {
  const moment = at(value);
  if (Number.isNaN(moment)) return h("span.faint", null, "—");
  return h("time", { datetime: value, title: new Date(moment).toISOString() }, (clock ??= new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" })).format(moment));
}

/** How long ago a time was. */
export function ago(value, now = Date.now()) {
  const seconds = (now - at(value)) / 1000;
  if (Number.isNaN(seconds)) return "—";
  if (seconds < 5) return "just now";
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([size]) => seconds >= size);
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

/** A duration in seconds, with its two largest units. */
export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "—";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  if (minutes) return `${minutes} min ${whole % 60} s`;
  return `${whole} s`;
}

/** How long a repository has been scanned, in seconds; NaN if it has not started. */
export function seconds(row) {
  const end = isFinal(row.status) ? at(row.completed_at ?? row.last_update) : Date.now();
  return kindOf(row.status) === "waiting" ? NaN : (end - at(row.started_at)) / 1000;
}

/** A number as the reader's language writes it. */
export function number(value) {
  if (!Number.isFinite(value)) return "—";
  return Number.isInteger(value) && Math.abs(value) < 1000 ? String(value) : (thousands ??= new Intl.NumberFormat()).format(value);
}

export function bytes(value) {
  if (!Number.isFinite(value)) return "—";
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit ? value.toFixed(1) : value} ${units[unit]}`;
}

/** What a user can do about each cause of a failure (docs/protocol.md, "failure"). */
export const REMEDIES = {
  spawn: "Check [scanner] command, the disk, and the limit of processes.",
  exit: "Read the log.",
  signal: "Find who sent the signal: an operator, or the kernel.",
  out_of_memory: "Run fewer scanners at once, add memory, or raise [limits] max_data_bytes.",
  timeout: "Raise [scanner] subprocess_timeout_secs, or see what the scan was doing.",
  stalled: "See what the scan was doing: stage, current file, log.",
  cancelled: "",
  clone: "The detail has the cause: network, credentials, or the address.",
  refused: "The policy forbids this address: [network] allow_hosts, allow_nets, or [[forges]].",
  limit: "The repository exceeds a limit: [limits].",
  protocol: "The scanner violated the protocol: read the log.",
  interrupted: "Find out what kills the processes of the scan.",
};
