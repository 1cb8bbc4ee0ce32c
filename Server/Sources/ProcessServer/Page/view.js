// Shows rows, and reads a session's output into them.

import { fromBase64, sleep } from "./client.js";
import { Rows, appearance } from "./rows.js";

/** How long the daemon is told to wait for news. */
const WAIT = 25_000;
/** The least time from one read to the next. */
const PACE = 50;
/** The same while output is missed: a flood is looked at, and not read. */
const PACE_IN_A_FLOOD = 250;
/** The longest time that reading holds up what the user does; one chunk may take longer. */
const SLICE = 20;
/** In a flood only the newest is read, so many bytes. */
const NEWEST = 1 << 16;
/** The least and the most time before another try when the daemon does not answer. */
const RETRY = 500;
const MOST_RETRY = 8000;

export function element(name, className, text) {
  const result = document.createElement(name);
  if (className) result.className = className;
  if (text !== undefined) result.textContent = text;
  return result;
}

/** Returns a number of bytes for people. */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB", "PB"];
  let value = bytes / 1000;
  while (value >= 999.5 && units.length > 1) {
    value /= 1000;
    units.shift();
  }
  return `${value < 99.95 ? value.toFixed(1) : Math.round(value)} ${units[0]}`;
}

/** Shows rows in an element that scrolls. */
export class View {
  #place;
  #rows;
  #elements = [];
  /** The number of the first of the elements' rows. */
  #first = 0;
  #frame = null;
  #isAtEnd = true;

  /** What is done when the reader scrolls back, or to the end. */
  onFollow = () => {};

  constructor(place) {
    this.#place = place;
    this.#rows = new Rows();
    place.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.isFollowing && this.#toEnd()).observe(place);
  }

  get rows() {
    return this.#rows;
  }

  /** Whether the newest row is in sight, and stays so. */
  get isFollowing() {
    return this.#isAtEnd;
  }

  set isFollowing(value) {
    if (value) this.#toEnd();
    if (value === this.#isAtEnd) return;
    this.#isAtEnd = value;
    this.onFollow();
  }

  /** Begins anew. */
  clear() {
    this.#rows = new Rows();
    this.#elements = [];
    this.#first = 0;
    this.#place.replaceChildren();
    this.isFollowing = true;
  }

  /** Returns when the rows are shown; soon, if nobody looks. */
  async render() {
    this.#frame ??= new Promise((resolve) => {
      let isDone = false;
      const draw = () => {
        if (isDone) return;
        isDone = true;
        this.#frame = null;
        this.#draw();
        resolve();
      };
      requestAnimationFrame(draw);
      setTimeout(draw, 200);
    });
    return this.#frame;
  }

  #draw() {
    const rows = this.#rows;
    // What was dropped before it was shown is never made.
    const gone = Math.min(rows.first - this.#first, this.#elements.length);
    for (const row of this.#elements.splice(0, gone)) row.remove();
    this.#first = rows.first;
    // The last one was open when it was made.
    this.#elements.pop()?.remove();
    const fresh = rows.closed.slice(this.#elements.length).map(rowElement);
    if (rows.cells.length > 0 || rows.column > 0) fresh.push(rowElement(rows.openRow));
    else fresh.push(element("div", "row open"));
    this.#elements.push(...fresh);
    this.#place.append(...fresh);
    if (this.#isAtEnd) this.#toEnd();
  }

  #toEnd() {
    this.#place.scrollTop = this.#place.scrollHeight;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#place;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < 24;
    if (isAtEnd === this.#isAtEnd) return;
    this.#isAtEnd = isAtEnd;
    this.onFollow();
  }
}

function rowElement(row) {
  if (row.kind === "gap") {
    const gap = element("div", "row gap", `${size(row.bytes)} missed here`);
    gap.title = `${row.bytes.toLocaleString("en")} bytes`;
    gap.dataset.bytes = row.bytes;
    return gap;
  }
  if (row.kind === "note") return element("div", "row note", row.text);
  const line = element("div", row.isContinued ? "row continued" : "row");
  for (const { text, style } of row.runs) {
    const { classes, colors } = appearance(style);
    if (style.stream === "stderr") line.classList.add("of-stderr");
    if (classes.length === 0 && Object.keys(colors).length === 0) {
      line.append(text);
      continue;
    }
    const span = element("span", classes.join(" "), text);
    for (const [name, value] of Object.entries(colors)) span.style.setProperty(name, value);
    line.append(span);
  }
  return line;
}

/**
 * Reads one session's output into a view, to its end.
 *
 * It is a reader like any other: when output comes faster than it can be shown, it gets gaps, and
 * reads the newest alone.
 */
export class Reader {
  #client;
  #view;
  #cursor = "0";
  /** The bytes of the session's output that were read or missed. */
  #position = 0;
  #isLapped = false;
  #toldExit = null;
  #awake = null;

  received = 0;
  missed = 0;
  /** The last answer. */
  answer = null;
  /** Why the daemon does not answer; null if it does. */
  trouble = null;
  /** Whether the session is not known any more. */
  isForgotten = false;

  /** What is done when any of the above has changed. */
  onChange = () => {};

  constructor(client, id, view) {
    this.#client = client;
    this.id = id;
    this.#view = view;
  }

  get isPaused() {
    return !this.#view.isFollowing && this.#view.rows.isFull;
  }

  /** Has it look again whether it may read. */
  wake() {
    this.#awake?.();
  }

  /** Reads until the end, or until the signal comes. */
  async run(signal) {
    let retry = RETRY;
    while (!signal.aborted) {
      // What the user has scrolled back to stays in sight.
      while (this.isPaused && !signal.aborted) {
        this.onChange();
        await new Promise((resolve) => {
          this.#awake = resolve;
          setTimeout(resolve, 1000);
        });
      }
      const query = new URLSearchParams({ since: this.#cursor, wait_ms: WAIT });
      if (this.#isLapped) query.set("tail_bytes", NEWEST);
      const path = `processes/${this.id}/output?${query}`;
      let answer;
      try {
        answer = await this.#client.json("GET", path, { signal, wait: WAIT });
      } catch (error) {
        if (signal.aborted) return;
        if (error.status === 404) return this.#forget();
        if (!error.mayPass) {
          if (error.status !== 401) this.#view.rows.note(error.message);
          await this.#view.render();
          return;
        }
        this.trouble = error;
        this.onChange();
        await sleep(Math.max(retry, error.retryAfter ?? 0), signal);
        retry = Math.min(2 * retry, MOST_RETRY);
        continue;
      }
      if (signal.aborted) return;
      retry = RETRY;
      this.trouble = null;
      const beginning = performance.now();
      await this.#take(answer);
      if (signal.aborted) return;
      await this.#view.render();
      this.onChange();
      if (answer.closed && !answer.has_more) return;
      if (answer.forgotten) return this.#forget();
      // The browser has most of its time for what the user does.
      const least = document.hidden ? 1000 : this.#isLapped ? PACE_IN_A_FLOOD : PACE;
      const idle = this.answer.chunks.length === 0 ? 0 : 2 * (performance.now() - beginning);
      await sleep(Math.max(least, idle), signal);
    }
  }

  async #take(answer) {
    const rows = this.#view.rows;
    let pause = performance.now() + SLICE;
    this.answer = answer;
    this.#isLapped = false;
    if (answer.foreign_cursor) {
      rows.note("This is another session's output, from its start.");
      this.#position = 0;
      this.received = 0;
      this.missed = 0;
    }
    for (const { stream, data_b64, offset } of answer.chunks) {
      const bytes = fromBase64(data_b64);
      const gap = offset - this.#position;
      if (gap > 0) {
        this.missed += gap;
        rows.gap(gap);
        this.#isLapped = true;
      }
      rows.write(bytes, stream);
      this.#position = offset + bytes.length;
      this.received += bytes.length;
      if (performance.now() < pause) continue;
      await sleep(0);
      pause = performance.now() + SLICE;
    }
    this.#cursor = answer.cursor;
    if (answer.has_more) return;
    const isLost = answer.closed && (answer.host_lost || answer.holder_lost);
    const exit = answer.exit_code ?? (isLost ? "lost" : null);
    const isNews = exit !== null && this.#toldExit !== exit;
    if (isNews) rows.note(`The command has ended: ${ending(answer)}.`);
    this.#toldExit = exit;
    if (isNews && !answer.closed) rows.note("What it has left in the background may still write.");
  }

  async #forget() {
    this.isForgotten = true;
    this.#view.rows.note("The daemon does not know this session any more.");
    await this.#view.render();
    this.onChange();
  }
}

/** Returns how a command ended. */
export function ending({
  exit_code: code, signal, timed_out: hasTimedOut, oom_killed: wasKilled, host_lost: isHostLost,
}) {
  const lost = isHostLost ? "its server was lost" : "its holder was lost";
  const parts = [signal ? `${signal}` : code === null ? lost : `exit code ${code}`];
  if (hasTimedOut) parts.push("its time was up");
  if (wasKilled) parts.push("out of memory");
  return parts.join(", ");
}

