// Makes requests of the daemon that this page comes from.

/** An answer that is an error, as the daemon describes it. */
export class Refusal extends Error {
  constructor(status, code, message, retryAfter) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed later. */
  get mayPass() {
    return this.status === 429 || this.status >= 500;
  }
}

/** No answer: the daemon or the way to it is gone. */
export class NoAnswer extends Error {
  constructor() {
    super("The daemon does not answer.");
  }

  get mayPass() {
    return true;
  }
}

const ROOT = new URL("api/sdk/", document.baseURI);

/** How long an answer may take, beside the time that the daemon was told to wait. */
const PATIENCE = 15_000;

export class Client {
  #token;

  /** What is done when the token is not accepted any more. */
  onUnauthorized = () => {};
  /** How far the daemon's clock is ahead of this one, in milliseconds. */
  clockSkew = 0;

  constructor(token) {
    this.#token = token;
  }

  /** Sends a request, and returns the response, whose status is 200. */
  async send(method, path, { body, signal, wait = 0 } = {}) {
    const limits = [AbortSignal.timeout(wait + PATIENCE)];
    if (signal) limits.push(signal);
    let response;
    try {
      response = await fetch(new URL(path, ROOT), {
        method,
        headers: { Authorization: `Bearer ${this.#token}` },
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.any(limits),
        cache: "no-store", credentials: "omit", redirect: "error",
      });
      if (response.ok) return response;
    } catch (error) {
      signal?.throwIfAborted();
      throw new NoAnswer();
    }
    let error = {};
    try {
      error = (await response.json()).error ?? {};
    } catch {
      // An answer of something between: its status says enough.
    }
    const message = error.message ?? `${response.status} ${response.statusText}`;
    const retryAfter = Number(response.headers.get("Retry-After")) * 1000 || 0;
    const refusal = new Refusal(response.status, error.code ?? "", message, retryAfter);
    if (refusal.status === 401) this.onUnauthorized(refusal);
    throw refusal;
  }

  /** Sends a request, and returns the JSON of its answer. */
  async json(method, path, options) {
    const response = await this.send(method, path, options);
    const date = Date.parse(response.headers.get("Date") ?? "");
    if (!Number.isNaN(date)) this.clockSkew = date - Date.now();
    try {
      return await response.json();
    } catch (error) {
      options?.signal?.throwIfAborted();
      // It broke off.
      throw new NoAnswer();
    }
  }

  call(environment, tool, args) {
    const path = `envs/${encodeURIComponent(environment)}/tool/call`;
    return this.json("POST", path, { body: { tool, arguments: args } });
  }

  of(id, action, body = {}) {
    return this.json("POST", `processes/${id}/${action}`, { body });
  }
}

/** Writes to a command's stdin, in order, with one request at a time. */
export class Stdin {
  #client;
  #id;
  #signal;
  #onTrouble;
  #pending = [];
  #size = 0;
  #isSending = false;
  #trouble = "";

  /** The most that waits here. The daemon keeps as much. */
  static limit = 1 << 20;
  /** The most of one request. */
  static #most = 1 << 18;

  /**
   * @param signal When it comes, what the command does not read is given up.
   * @param onTrouble Is told why input is not taken, and "" when it is.
   */
  constructor(client, id, signal, onTrouble) {
    this.#client = client;
    this.#id = id;
    this.#signal = signal;
    this.#onTrouble = onTrouble;
  }

  write(bytes) {
    if (this.#size + bytes.length > Stdin.limit) {
      this.#tell("The command does not read: nothing more was sent to it.");
      return;
    }
    for (let start = 0; start < bytes.length; start += Stdin.#most) {
      this.#pending.push(bytes.subarray(start, start + Stdin.#most));
    }
    this.#size += bytes.length;
    this.#pump();
  }

  #tell(trouble) {
    if (trouble === this.#trouble || this.#signal.aborted) return;
    this.#trouble = trouble;
    this.#onTrouble(trouble);
  }

  async #pump() {
    if (this.#isSending) return;
    this.#isSending = true;
    while (this.#pending.length > 0 && !this.#signal.aborted) {
      const bytes = this.#take();
      try {
        await this.#client.of(this.#id, "stdin", { data_b64: toBase64(bytes) });
        this.#tell("");
      } catch (error) {
        if (error.code === "stdin_full") {
          // None of it was taken.
          this.#tell("The command does not read its input yet: the rest waits.");
          this.#pending.unshift(bytes);
          this.#size += bytes.length;
          await sleep(error.retryAfter || 1000, this.#signal);
          if (this.#signal.aborted) return;
          continue;
        }
        // It may have arrived, so it is not sent again.
        this.#pending = [];
        this.#size = 0;
        this.#tell(`Input was not taken: ${error.message}`);
      }
    }
    this.#isSending = false;
  }

  /** Returns what waits, as much as one request may have. */
  #take() {
    let size = 0;
    let count = 0;
    for (const part of this.#pending) {
      if (count > 0 && size + part.length > Stdin.#most) break;
      size += part.length;
      count += 1;
    }
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const part of this.#pending.splice(0, count)) {
      bytes.set(part, at);
      at += part.length;
    }
    this.#size -= size;
    return bytes;
  }
}

/** Returns after a time, or when the signal comes. */
export function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener("abort", end);
  });
}

export function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

export function toBase64(bytes) {
  if (bytes.toBase64) return bytes.toBase64();
  let text = "";
  for (let start = 0; start < bytes.length; start += 4096) {
    text += String.fromCharCode(...bytes.subarray(start, start + 4096));
  }
  return btoa(text);
}
