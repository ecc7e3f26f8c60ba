// One server-sent stream (HTML Standard, "Server-sent events"), read by fetch: unlike EventSource it shows the comments that keep a
// connection open, the status of an answer, and takes the id of the last event across a restart of the worker.

/** A stream is stale when the server has sent nothing for this long; it sends something every 15 s. With the interval of the checks,
 * a user knows within 20 s. */
const STALE = 18_000;
const PAUSES = [500, 1000, 2000, 4000, 8000, 15_000];

/** Follows a stream. `on.event({ event, data, id })`, `on.state("live" | "stale" | "lost" | "ended" | "signed-out" | "gone")`. */
export class Stream {
  constructor(address, on) {
    Object.assign(this, { address, on, id: null, attempt: 0, closed: false, heard: Date.now(), state: "" });
    this.watch = setInterval(() => this.look(), 1000);
    this.run();
  }

  close() {
    this.closed = true;
    clearInterval(this.watch);
    this.abort?.abort();
  }

  say(state) {
    if (this.state !== state) this.on.state((this.state = state));
  }

  look() {
    if (this.state === "live" && Date.now() - this.heard > STALE) {
      this.say("stale");
      // A connection that is silent for so long is dead.
      this.abort?.abort();
    }
  }

  async run() {
    while (!this.closed) {
      this.abort = new AbortController();
      try {
        const headers = { Accept: "text/event-stream" };
        if (this.id) headers["Last-Event-ID"] = this.id;
        const answer = await fetch(this.address, {
          headers, signal: this.abort.signal, cache: "no-store", credentials: "same-origin",
        });
        if (answer.status === 204) return this.finish("ended");
        if (answer.status === 401) return this.finish("signed-out");
        if (answer.status === 404) return this.finish("gone");
        if (!answer.ok || !answer.body) throw new Error(`status ${answer.status}`);
        this.heard = Date.now();
        this.attempt = 0;
        this.say("live");
        if (await this.read(answer.body.getReader())) return this.finish("ended");
      } catch {
        // Tried again below.
      }
      if (this.closed) return;
      this.say("lost");
      const pause = PAUSES[Math.min(this.attempt++, PAUSES.length - 1)];
      await new Promise((resolve) => setTimeout(resolve, pause * (0.75 + Math.random() / 2)));
    }
  }

  finish(state) {
    clearInterval(this.watch);
    this.say(state);
  }

  /** Reads to the end of the connection; whether the stream itself has ended. */
  async read(reader) {
    const decoder = new TextDecoder();
    let [rest, event, data, ended] = ["", "message", [], false];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return ended;
      this.heard = Date.now();
      this.say("live");
      rest += decoder.decode(value, { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (data.length) this.on.event({ event, id: this.id, data: JSON.parse(data.join("\n")) });
          // The list of all jobs has no end: an `end` there is that of a job.
          ended ||= event === "end" && this.address.includes("/scan/");
          [event, data] = ["message", []];
        } else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
        else if (line.startsWith("event:")) event = line.slice(6).trim();
        else if (line.startsWith("id:")) this.id = line.slice(3).trim();
      }
    }
  }
}
