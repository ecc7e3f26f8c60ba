// How long the rest of a job takes, by the scans that are finished.

import { isFinal, kindOf, seconds } from "./format.js";

/** Fewer finished scans than this say too little. */
const LEAST = 5;

/**
 * The shortest and the longest time that the rest of a job probably takes, in seconds: `[from, to]`, or null. The rest is a
 * sum of independent durations, so about 95 of 100 sums lie within two standard deviations; as many scans run at once as now.
 */
export function band(rows) {
  let [count, sum, squares, running, spent, waiting] = [0, 0, 0, 0, 0, 0];
  for (const row of rows) {
    const took = seconds(row);
    if (isFinal(row.status)) {
      if (!Number.isFinite(took)) continue;
      count += 1;
      sum += took;
      squares += took * took;
    } else if (kindOf(row.status) === "running") {
      running += 1;
      spent += Number.isFinite(took) ? took : 0;
    } else waiting += 1;
  }
  if (count < LEAST || !running) return null;
  const mean = sum / count;
  const variance = Math.max(0, squares / count - mean * mean);
  const left = Math.max(0, (waiting + running) * mean - Math.min(spent, running * mean));
  const spread = 2 * Math.sqrt(variance * (waiting + running));
  return [Math.max(0, left - spread) / running, (left + spread) / running];
}
