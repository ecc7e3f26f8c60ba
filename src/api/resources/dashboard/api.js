// Requests to the server that this page came from. All addresses are relative to the page, so that it works below any path
// of a proxy.

/** An answer that is an error: its status, its text, and for a wrong body what is wrong with which field. */
export class ApiError extends Error {
  constructor(status, detail) {
    const fields = Array.isArray(detail) ? detail : [];
    super(fields.length ? fields.map((field) => field.msg).join("; ") : String(detail));
    this.status = status;
    this.fields = fields;
  }
}

/** The address of a path of the API. */
export const address = (path) => new URL(path.replace(/^\//, ""), new URL(".", location.href.split("#")[0])).href;

/** Sends a request; the answer as JSON, or null if it is empty. */
export async function request(path, { method = "GET", body, signal } = {}) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  let answer;
  try {
    answer = await fetch(address(path), {
      method, signal, headers, credentials: "same-origin", cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server cannot be reached");
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const problem = await answer.json().catch(() => ({}));
  if (answer.status === 401) dispatchEvent(new Event("signed-out"));
  throw new ApiError(answer.status, problem.detail ?? answer.statusText);
}

/** The text of an answer, such as a log, with its headers. */
export async function download(path, { signal, headers = {} } = {}) {
  const answer = await fetch(address(path), { signal, headers, credentials: "same-origin", cache: "no-store" });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new ApiError(answer.status, problem.detail ?? answer.statusText);
}

/** Who uses the page: `{ user, scope, open }`. */
export const session = { user: null, scope: "admin", open: true };

const SCOPES = ["read", "write", "admin"];

/** Whether the user's scope permits what needs this one. */
export const may = (scope) => SCOPES.indexOf(session.scope) >= SCOPES.indexOf(scope);

/** Learns who uses the page; throws 401 where nobody is signed in. */
export async function learnSession() {
  Object.assign(session, await request("session"));
}
