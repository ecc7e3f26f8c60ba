// The state that the events of a stream add up to. Shared by the page and the worker: the worker keeps the state for tabs that join later.

/** The state of a stream: the list of jobs, or one job. */
export function newState(path) {
  return { path, kind: path === "events" ? "jobs" : "job", known: false, jobs: new Map(), total: 0, counts: {}, job: null, rows: new Map() };
}

/** Applies an event to a state. */
export function apply(state, { event, data }) {
  if (state.kind === "jobs") {
    if (event === "snapshot") {
      state.jobs = new Map(data.jobs.map((job) => [job.job_id, job]));
      [state.total, state.counts] = [data.total, data.counts];
    } else if (data?.job_id) {
      const before = state.jobs.get(data.job_id);
      const job = rowOf(data, before);
      state.jobs.set(job.job_id, job);
      if (!before) state.total += 1;
      count(state.counts, before?.status, -1);
      count(state.counts, job.status, 1);
      // The newest are shown; an old page does not grow.
      if (state.jobs.size > 1000) state.jobs.delete(oldest(state.jobs));
    }
  } else if (event === "snapshot") {
    state.job = { ...data, repositories: undefined, pending_repositories: undefined, completed_repositories: undefined };
    const failed = new Map((data.failed_repositories ?? []).map((one) => [one.repo_name, one]));
    state.rows = new Map((data.repositories ?? []).map((row) => [keyOf(row), withFailure(row, failed)]));
    // What has not started has a name, and no number yet.
    const known = new Set([...state.rows.values()].map((row) => row.repo_name));
    for (const repo_name of data.pending_repositories ?? []) {
      const row = { repo_index: null, repo_name, status: "pending" };
      if (!known.has(repo_name)) state.rows.set(keyOf(row), row);
    }
  } else if (event === "repository") {
    state.rows.delete(keyOf({ repo_index: null, repo_name: data.repo_name }));
    state.rows.set(keyOf(data), { ...data });
  } else if (event === "job" || event === "end") {
    state.job = { ...state.job, ...data, repositories: undefined };
  }
  state.known = true;
  return state;
}

/** What identifies a repository among those of its job. */
export const keyOf = (row) => row.repo_index ?? `:${row.repo_name}`;

function withFailure(row, failed) {
  const failure = failed.get(row.repo_name);
  return failure ? { ...row, error: failure.error, failure: failure.failure } : row;
}

/** The states of the list of jobs, by those of one job. */
const LISTED = {
  pending: "pending", initializing: "pending", in_progress: "running", running: "running",
  completed: "completed", completed_with_errors: "completed",
};
export const listed = (status) => LISTED[status] ?? "failed";

/** The row of a job that its own stream describes. */
function rowOf(data, before) {
  const summary = data.summary;
  const row = { ...before, ...data, status: listed(data.status) };
  delete row.repositories;
  if (summary) {
    row.total_repositories = summary.total_repositories;
    row.failed_repositories = summary.failed;
    const finished = summary.completed + summary.failed;
    row.progress = summary.total_repositories ? Math.floor((100 * finished) / summary.total_repositories) : row.progress;
  }
  return row;
}

function count(counts, status, by) {
  if (status && status in counts) counts[status] = Math.max(0, counts[status] + by);
}

function oldest(jobs) {
  let found = null;
  for (const job of jobs.values()) if (!found || job.created_at < found.created_at) found = job;
  return found.job_id;
}

/** The state as one event, for a tab that joins. */
export function snapshotOf(state) {
  if (state.kind === "jobs") {
    return { event: "snapshot", data: { jobs: [...state.jobs.values()], total: state.total, counts: state.counts } };
  }
  return { event: "snapshot", data: { ...state.job, repositories: [...state.rows.values()] } };
}

/** How often a page gets what has changed, in milliseconds. */
const INTERVAL = 250;

/** Passes events on, a batch at most every 250 ms: the first at once, so that a page that was just opened waits for nothing. */
export function batches(take) {
  let [waiting, timer, last] = [[], null, 0];
  const flush = () => {
    timer = null;
    last = Date.now();
    take(coalesce(waiting.splice(0)));
  };
  return {
    add(event) {
      waiting.push(event);
      timer ??= setTimeout(flush, Math.max(0, last + INTERVAL - Date.now()));
    },
    stop: () => clearTimeout(timer),
  };
}

/** Events that carry a whole state: the newest one replaces those before it, so a slow tab gets fewer events and never an old state. */
function coalesce(events) {
  const newest = new Map();
  for (const one of events) {
    if (one.event === "snapshot") newest.clear();
    const key = one.event === "snapshot" ? "snapshot"
      : one.event === "repository" ? `r${one.data.repo_index}` : `j${one.data?.job_id}`;
    newest.delete(key);
    newest.set(key, one);
  }
  return [...newest.values()];
}
