// The page: signs in, lists the sessions, and shows one of them.

import { Client, NoAnswer, Stdin, sleep } from "./client.js";
import { Reader, View, element, ending, size } from "./view.js";

const $ = (id) => document.getElementById(id);
const encoder = new TextEncoder();

/** The time from one look at the list to the next. */
const LIST_PACE = 1000;
/** More are not shown in the list. */
const LISTED = 200;

const view = new View($("output"));
/** What belongs to the token: null before someone signs in. */
let visit = null;
/** The session that is shown. */
let shown = null;

// MARK: Signing in and out

$("sign-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = $("token").value.trim();
  if (!/^[\x21-\x7e]+$/.test(token)) return askForToken("A token is one word, without accents.");
  const client = new Client(token);
  $("sign-in-error").textContent = "";
  try {
    await begin(client, await client.json("GET", "processes"));
  } catch (error) {
    askForToken(error.message);
  }
});

async function begin(client, answer) {
  const { envs } = await client.json("POST", "envs/list", { body: {} });
  visit?.end.abort();
  const own = (envs.find((env) => env.is_default) ?? envs[0])?.name ?? "";
  visit = { client, own, sessions: new Map(), end: new AbortController() };
  client.onUnauthorized = (refusal) => {
    // An answer may come when its client is no longer the one that is signed in.
    if (visit?.client === client) askForToken(`Signed out: ${refusal.message}`);
  };
  const names = envs.map(({ name }) => name);
  $("start-environment").replaceChildren(...names.map((name) => new Option(name, name)));
  $("start-environment").value = own;
  $("start-place").hidden = names.length < 2;
  $("token").value = "";
  $("sign-in").hidden = true;
  $("app").hidden = false;
  list(answer);
  showChosen();
  if (!shown) $("new").focus();
  watchList(visit);
}

function askForToken(reason = "") {
  visit?.end.abort();
  visit = null;
  hideSession();
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  $("sessions").replaceChildren();
  $("app").hidden = true;
  $("sign-in").hidden = false;
  $("sign-in-error").textContent = reason;
  $("token").focus();
}

$("sign-out").addEventListener("click", () => askForToken());

// MARK: Trouble

/** Says why the daemon does not answer; null when it does. */
function tell(error) {
  const text = !error ? "" : error instanceof NoAnswer
    ? "The daemon does not answer. Trying again…"
    : `${error.message}. Trying again…`;
  if ($("trouble").textContent !== text) $("trouble").textContent = text;
}

// MARK: The list

async function watchList({ client, end: { signal } }) {
  let pace = LIST_PACE;
  while (!signal.aborted) {
    await sleep(pace, signal);
    if (document.hidden) await becomesVisible(signal);
    if (signal.aborted) return;
    try {
      const answer = await client.json("GET", "processes", { signal });
      if (signal.aborted) return;
      list(answer);
      pace = LIST_PACE;
      const isComplete = answer.complete ?? true;
      tell(isComplete ? null : new Error("Redis is away: other servers' sessions may be missing"));
    } catch (error) {
      if (signal.aborted) return;
      tell(error);
      pace = Math.min(2 * pace, 8 * LIST_PACE);
    }
  }
}

function becomesVisible(signal) {
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look);
  });
}

/** Shows the sessions, the newest first. Those of other servers stay if the list lacks some. */
function list({ processes: listed, complete: isComplete = true }) {
  const now = performance.now();
  const before = visit.sessions;
  const ids = new Set(listed.map(({ session_id }) => session_id));
  const kept = isComplete ? [] : [...before.values()].map(({ process }) => process)
    .filter(({ session_id, env }) => env !== visit.own && !ids.has(session_id));
  const processes = [...kept, ...listed];
  visit.sessions = new Map();
  for (const process of processes) {
    const old = before.get(process.session_id);
    const seconds = (now - (old?.seenAt ?? now)) / 1000;
    const bytes = process.total_bytes - (old?.process.total_bytes ?? 0);
    const session = {
      process, seenAt: now, rate: seconds > 0 ? bytes / seconds : 0,
      item: old?.item ?? makeItem(process.session_id),
    };
    visit.sessions.set(process.session_id, session);
    updateItem(session);
  }
  const newest = [...visit.sessions.values()].reverse().slice(0, LISTED).map(({ item }) => item);
  const place = $("sessions");
  for (const item of [...place.children]) if (!newest.includes(item)) item.remove();
  newest.forEach((item, index) => {
    if (place.children[index] !== item) place.insertBefore(item, place.children[index] ?? null);
  });
  $("count").textContent = processes.length || "";
  $("no-sessions").hidden = processes.length > 0;
  $("more-sessions").hidden = processes.length <= LISTED;
  $("more-sessions").textContent = `${processes.length - LISTED} older ones are not shown.`;
  updateShown();
}

function makeItem(id) {
  const item = element("li");
  const button = element("button", "session");
  button.type = "button";
  button.dataset.id = id;
  button.append(
    element("span", "state"), element("span", "command"), element("span", "figures"));
  button.addEventListener("click", () => choose(id));
  item.append(button);
  return item;
}

function updateItem(session) {
  const { process, item, rate } = session;
  const button = item.firstChild;
  const [state, command, figures] = button.children;
  put(state, stateOf(process));
  put(command, titleOf(process));
  const parts = [age(process.started_at), size(process.total_bytes)];
  if (process.lost_bytes > 0) parts.push(`${size(process.lost_bytes)} lost`);
  if (rate >= 1) parts.push(`${size(Math.round(rate))}/s`);
  put(figures, parts.join(" · "));
  button.dataset.state = kindOf(process);
  if (process.session_id === shown?.id) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
}

/** Changes a text if it has changed, so that nothing is laid out for nothing. */
function put(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function titleOf({ name, command }) {
  const line = (Array.isArray(command) ? command.join(" ") : command).slice(0, 300);
  return name ? `${name}: ${line}` : line;
}

/** Returns the first word of a command. */
function wordOf({ command }) {
  return (Array.isArray(command) ? command[0] : command.trim().split(/\s/, 1)[0]).slice(0, 40);
}

function kindOf(process) {
  if (process.session_alive) return "running";
  if (process.lingering) return "lingering";
  return process.exit_code === 0 ? "done" : "failed";
}

function stateOf(process) {
  const kind = kindOf(process);
  if (kind === "running") return "running";
  return kind === "lingering" ? "in the background" : ending(process);
}

/** Returns how long ago a command was started, by the daemon's clock. */
function age(startedAt) {
  const now = Date.now() + visit.client.clockSkew;
  const seconds = Math.max(0, Math.round((now - Date.parse(startedAt)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  if (seconds < 86_400) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(seconds / 86_400)} d`;
}

$("sessions").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const buttons = [...$("sessions").querySelectorAll("button")];
  buttons[buttons.indexOf(document.activeElement) + step]?.focus();
});

// MARK: One session

/** Shows a session by its id in the address, so that the browser's Back works. */
function choose(id) {
  location.hash = id;
}

window.addEventListener("hashchange", showChosen);

function showChosen() {
  if (!visit) return;
  const id = location.hash.slice(1);
  if (shown?.id === id) return;
  hideSession();
  if (!/^[0-9a-f]{32}$/.test(id)) return;
  const { client } = visit;
  const reader = new Reader(client, id, view);
  const end = new AbortController();
  const stdin = new Stdin(client, id, end.signal, (text) => put($("told"), text));
  shown = { id, reader, stdin, end };
  document.body.dataset.shows = "session";
  $("session").hidden = false;
  $("no-session").hidden = true;
  reader.onChange = updateReading;
  reader.run(shown.end.signal);
  for (const session of visit.sessions.values()) updateItem(session);
  updateShown();
  updateReading();
  $("input").focus();
}

function hideSession() {
  shown?.end.abort();
  shown?.reader.wake();
  shown = null;
  view.clear();
  setKeysMode(false);
  delete document.body.dataset.shows;
  document.title = "processd";
  $("session").hidden = true;
  $("no-session").hidden = false;
  $("input").value = "";
  put($("told"), "");
  for (const place of document.querySelectorAll("[aria-current]")) {
    place.removeAttribute("aria-current");
  }
}

/** Shows what the list says of the session. */
function updateShown() {
  if (!shown) return;
  const session = visit.sessions.get(shown.id);
  const process = session?.process;
  if (process) {
    shown.process = process;
    put($("command"), titleOf(process));
    // A browser keeps titles: a command's arguments may be secret.
    document.title = `${process.name || wordOf(process)} – processd`;
  } else {
    put($("command"), shown.process ? titleOf(shown.process) : shown.id);
  }
  const runs = Boolean(process && (process.session_alive || process.lingering));
  const parts = process
    ? [
      stateOf(process), `process ${process.pid}`, process.tty ? "terminal" : "pipes",
      `started ${age(process.started_at)} ago`, size(process.total_bytes),
    ]
    : ["not known any more"];
  if (process?.lost_bytes > 0) parts.push(`${size(process.lost_bytes)} lost`);
  if (session?.rate >= 1) parts.push(`${size(Math.round(session.rate))}/s`);
  put($("facts"), parts.join(" · "));
  $("facts").dataset.state = process ? kindOf(process) : "gone";
  $("size-form").hidden = !process?.tty;
  for (const id of ["interrupt", "eof", "terminate", "input", "send", "keys"]) {
    $(id).disabled = !runs;
  }
  for (const part of $("size-form").elements) part.disabled = !process?.session_alive;
  $("download").disabled = !process;
  $("remove").disabled = !process || runs;
  if (!runs) setKeysMode(false);
}

/** Shows how far the output was read. */
function updateReading() {
  if (!shown) return;
  const { received, missed, isPaused, trouble } = shown.reader;
  const place = $("reading");
  let text = `${size(received)} read`;
  if (missed > 0) text += `, ${size(missed)} missed`;
  if (isPaused) text += "; paused while you look back";
  put(place, text);
  const [exactly, missing] = [received, missed].map((bytes) => bytes.toLocaleString("en"));
  place.title = `${exactly} bytes read, ${missing} missed`;
  place.dataset.received = received;
  place.dataset.missed = missed;
  if (trouble) tell(trouble);
  $("follow").setAttribute("aria-pressed", String(view.isFollowing));
  $("screen-note").hidden = !view.rows.drawsOnScreen;
}

view.onFollow = () => {
  shown?.reader.wake();
  updateReading();
};

$("follow").addEventListener("click", () => {
  view.isFollowing = !view.isFollowing;
});

$("back").addEventListener("click", () => {
  location.hash = "";
  $("sessions").querySelector("button")?.focus();
});

/** Has the daemon do something with the session, and says what came of it. */
async function act(action) {
  const { id } = shown;
  let text;
  try {
    text = await action(visit.client, id);
  } catch (error) {
    text = error.message;
  }
  if (shown?.id === id) put($("told"), text);
}

$("interrupt").addEventListener("click", interrupt);

function interrupt() {
  view.isFollowing = true;
  // The terminal knows which of its processes are in the foreground.
  if (shown.process?.tty) return shown.stdin.write(Uint8Array.of(3));
  return act(async (client, id) => {
    await client.of(id, "signal", { signal: "SIGINT" });
    return "SIGINT sent";
  });
}

$("eof").addEventListener("click", endInput);

function endInput() {
  return act(async (client, id) => {
    await client.of(id, "stdin", { eof: true });
    return "Input ended";
  });
}

$("terminate").addEventListener("click", () => act(async (client, id) => {
  await client.of(id, "terminate");
  return "SIGTERM sent; SIGKILL follows in 2 seconds";
}));

$("remove").addEventListener("click", () => act(async (client, id) => {
  await client.json("DELETE", `processes/${id}`);
  location.hash = "";
  return "";
}));

$("download").addEventListener("click", () => act(async (client, id) => {
  const response = await client.send("GET", `processes/${id}/output?since=0&format=raw`);
  const content = await response.blob();
  const link = element("a");
  link.href = URL.createObjectURL(content);
  link.download = `${id}.raw`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  const missed = Number(response.headers.get("Processd-Missed-Bytes"));
  const place = response.headers.get("Processd-Gap-At");
  const gap = `, without the ${size(missed)} behind byte ${place}, which are not retained`;
  return `${size(content.size)} downloaded${missed > 0 ? gap : ""}`;
}));

$("size-form").addEventListener("submit", (event) => {
  event.preventDefault();
  resize({ rows: Number($("rows").value), cols: Number($("cols").value) });
});

$("fit").addEventListener("click", () => {
  const fitting = sizeOfPane();
  $("rows").value = fitting.rows;
  $("cols").value = fitting.cols;
  resize(fitting);
});

function resize(dimensions) {
  const { rows, cols } = dimensions;
  return act(async (client, id) => {
    await client.of(id, "resize", dimensions);
    return `${rows} × ${cols}`;
  });
}

/** Returns the rows and columns that a terminal of the output's size has. */
function sizeOfPane() {
  const output = $("output");
  const pane = $("session-pane");
  const probe = element("div", "probe", "0".repeat(100));
  pane.append(probe);
  const { width, height } = probe.getBoundingClientRect();
  probe.remove();
  if (!(width > 0)) return { rows: 24, cols: 80 };
  // Without a session, the bars above and below take as much as they will.
  const seen = output.clientHeight > 0;
  const wide = (seen ? output.clientWidth : pane.clientWidth) - 40;
  const high = seen ? output.clientHeight - 16 : pane.clientHeight - 200;
  const within = (value, least, most) => Math.max(least, Math.min(most, Math.floor(value)));
  return {
    rows: within(high / height, 4, 200), cols: within(wide / (width / 100), 20, 500),
  };
}

// MARK: Input

const KEYS = {
  Backspace: "\x7f", Tab: "\t", Escape: "\x1b", ArrowUp: "\x1b[A", ArrowDown: "\x1b[B",
  ArrowRight: "\x1b[C", ArrowLeft: "\x1b[D", Home: "\x1b[H", End: "\x1b[F", Insert: "\x1b[2~",
  Delete: "\x1b[3~", PageUp: "\x1b[5~", PageDown: "\x1b[6~",
};

const input = $("input");
let sendsKeys = false;

function setKeysMode(value) {
  sendsKeys = value;
  $("keys").setAttribute("aria-pressed", String(value));
  input.placeholder = value ? "Each key is sent at once; Alt+K ends this" : "";
  put($("input-label"), value ? "Keys" : "Input");
  $("send").hidden = value;
  if (value) input.value = "";
}

function toggleKeys() {
  setKeysMode(!sendsKeys);
  input.focus();
}

$("keys").addEventListener("click", toggleKeys);

function type(text) {
  if (!shown) return;
  view.isFollowing = true;
  shown.stdin.write(encoder.encode(text));
}

/** What ends a line: a terminal makes it a line feed. */
const enter = () => (shown?.process?.tty ? "\r" : "\n");

$("input-form").addEventListener("submit", (event) => {
  event.preventDefault();
  // In keys mode the input is empty, and this is the key.
  type(input.value + enter());
  input.value = "";
});

input.addEventListener("keydown", (event) => {
  if (event.isComposing || event.altKey || event.metaKey) return;
  const letter = event.key.length === 1 ? event.key.toLowerCase() : "";
  if (event.ctrlKey && letter === "c" && isNothingSelected()) {
    event.preventDefault();
    return interrupt();
  }
  if (!sendsKeys) {
    if (!event.ctrlKey || letter !== "d" || input.value) return;
    event.preventDefault();
    return endInput();
  }
  let text = KEYS[event.key];
  if (event.key === "Tab" && event.shiftKey) text = "\x1b[Z";
  // Text comes as input, from whatever keyboard; and Ctrl-V pastes.
  if (event.ctrlKey && /^[a-z[\\\]^_]$/.test(letter) && !/[cv]/.test(letter)) {
    text = String.fromCharCode(letter.toUpperCase().charCodeAt(0) & 31);
  }
  if (text === undefined) return;
  event.preventDefault();
  type(text);
});

function isNothingSelected() {
  return input.selectionStart === input.selectionEnd && String(getSelection()) === "";
}

for (const name of ["input", "compositionend"]) {
  input.addEventListener(name, (event) => {
    if (!sendsKeys || event.isComposing || !input.value) return;
    type(input.value);
    input.value = "";
  });
}

// MARK: Starting a command

const startDialog = $("start-dialog");

function openStart() {
  if (!visit || startDialog.open) return;
  put($("start-error"), "");
  startDialog.showModal();
  $("start-command").select();
}

$("new").addEventListener("click", openStart);
$("start-cancel").addEventListener("click", () => startDialog.close());

$("start-command").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (!event.repeat) $("start-form").requestSubmit();
});

let isStarting = false;

$("start-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (isStarting) return put($("start-error"), "Another command is being started…");
  isStarting = true;
  put($("start-error"), "");
  const { client } = visit;
  let answer;
  try {
    answer = await client.call($("start-environment").value, "exec_command", {
      command: $("start-command").value,
      cwd: $("start-cwd").value || null,
      name: $("start-name").value || null,
      keep_alive: $("start-keep").checked,
      ...($("start-tty").checked ? { tty: true, ...sizeOfPane() } : {}),
    });
    if (answer.isError) {
      put($("start-error"), answer.content.map(({ text }) => text).join("\n"));
      return;
    }
  } catch (error) {
    put($("start-error"), error.message);
    return;
  } finally {
    isStarting = false;
  }
  startDialog.close();
  try {
    const sessions = await client.json("GET", "processes");
    if (visit?.client !== client) return;
    list(sessions);
  } catch {
    // The list is asked for again soon.
  }
  if (visit?.client === client) choose(answer.structuredContent.session_id);
});

// MARK: Shortcuts

const helpDialog = $("help-dialog");
$("help").addEventListener("click", () => helpDialog.showModal());
$("help-close").addEventListener("click", () => helpDialog.close());

const SHORTCUTS = {
  KeyN: openStart,
  KeyL: () => {
    const current = $("sessions").querySelector("[aria-current]");
    (current ?? $("sessions").querySelector("button"))?.focus();
  },
  KeyI: () => input.focus(),
  KeyK: () => shown && !$("keys").disabled && toggleKeys(),
  KeyO: () => shown && $("follow").click(),
};

document.addEventListener("keydown", (event) => {
  if (!visit || document.querySelector("dialog[open]")) return;
  if (event.altKey && !event.ctrlKey && !event.metaKey && SHORTCUTS[event.code]) {
    event.preventDefault();
    SHORTCUTS[event.code]();
  } else if (event.key === "?" && !event.target.closest("input, textarea, select")) {
    helpDialog.showModal();
  }
});

askForToken();
