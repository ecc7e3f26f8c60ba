// Commands for a shell that fetch what the page shows.

import { address, session } from "./api.js";

/** A text as one word of a POSIX shell. */
export const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** A curl command for a path of the API. Credentials come from the variables that the client of the command line reads, too. */
export function curl(path, ...options) {
  const user = session.open ? [] : ["-u", '"$API_USERNAME:$API_PASSWORD"'];
  return ["curl", "-sS", ...user, ...options, quoted(address(path))].join(" ");
}

/** A jq command over files, which the shell lists by a pattern behind the folder of the job. */
export const jq = (program, job, pattern, ...options) => ["jq", ...options, quoted(program), `${quoted(job)}/${pattern}`].join(" ");
