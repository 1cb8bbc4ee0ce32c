"""Uses the daemon's page in a headless Chromium as a person would, and looks at what it shows:

    python3 Server/Tests/page.py [--screenshot FILE] [--only WORD] [PROCESSD]

Needs `chromium` and `chromedriver` (Debian: chromium, chromium-driver). With --screenshot it makes
the picture of Server/README.md, and tests nothing; --narrow and --light change the picture.
"""

import argparse
import base64
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

SERVER = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SERVER / "Load"))
from daemon import TOKEN, Daemon, call, connect, start

ALT, CONTROL, ENTER, ESCAPE = "\ue00a", "\ue009", "\ue007", "\ue00c"
BACKSPACE, ARROW_DOWN = "\ue003", "\ue015"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

# Counts what the policy forbids, from before the page's first line.
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  (event) => window.violations.push(event.violatedDirective + " " + event.blockedURI));
window.addEventListener("error", (event) => window.violations.push(String(event.message)));
window.addEventListener("unhandledrejection",
  (event) => window.violations.push(String(event.reason)));
"""


class Way:
    """The way to a daemon, which can be cut and restored: a proxy for TCP."""

    def __init__(self, target):
        self.target = target
        self._connections = set()
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self._server.accept()
            try:
                daemon = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._connections |= {client, daemon}
            for one, other in ((client, daemon), (daemon, client)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 18):
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._connections.discard(one)

    def cut(self):
        """Ends all connections, and refuses others until there is a target again."""
        self.target = 0
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Browser:
    """A session of WebDriver: https://www.w3.org/TR/webdriver2/."""

    def __init__(self, directory):
        self._driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True, cwd=directory)
        for line in self._driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                break
        threading.Thread(target=self._driver.stdout.read, daemon=True).start()
        self._base = f"http://127.0.0.1:{found.group(1)}/session"
        switches = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                    "--window-size=1200,800", "--force-color-profile=srgb"]
        answer = self._request("POST", "", {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": switches}, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self._base += "/" + answer["sessionId"]
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        self.theme("")

    def _request(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {json.load(error)['value']['message'][:600]}") from None

    def close(self):
        with contextlib.suppress(Exception):
            self._request("DELETE", "")
        self._driver.terminate()
        self._driver.wait()

    def cdp(self, command, **params):
        """A command of Chromium's own protocol."""
        return self._request("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def open(self, url):
        self._request("POST", "/url", {"url": url})

    def run(self, script, *args):
        """Runs a function's body in the page, and returns its value."""
        return self._request("POST", "/execute/sync", {"script": script, "args": list(args)})

    def run_async(self, script, *args):
        """The same for a body that calls `done` with its value."""
        script = "const done = arguments[arguments.length - 1];" + script
        return self._request("POST", "/execute/async", {"script": script, "args": list(args)})

    def _find(self, css):
        body = {"using": "css selector", "value": css}
        return "/element/" + self._request("POST", "/element", body)[ELEMENT]

    def click(self, css):
        self._request("POST", self._find(css) + "/click", {})

    def type(self, css, text):
        self._request("POST", self._find(css) + "/value", {"text": text})

    def press(self, *keys):
        """Holds keys down, one after the other, and lets them go."""
        actions = [{"type": "keyDown", "value": key} for key in keys]
        actions += [{"type": "keyUp", "value": key} for key in reversed(keys)]
        self._request("POST", "/actions", {
            "actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def resize(self, width, height):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=False)

    def theme(self, name):
        """Has the page in a theme, and without transitions from one to the other."""
        self.cdp("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": name},
            {"name": "prefers-reduced-motion", "value": "reduce"}])

    def screenshot(self):
        return base64.b64decode(self._request("GET", "/screenshot"))

    def until(self, script, *args):
        """Waits until a function's body in the page returns something that is true."""
        for _ in range(1200):
            if value := self.run(script, *args):
                return value
            time.sleep(0.05)
        raise AssertionError(f"never came: {script}\n{self.run('return document.body.innerText')}")

    def log(self):
        return self._request("POST", "/se/log", {"type": "browser"})

    def heap(self):
        """The bytes that the page's objects take after a collection."""
        self.cdp("HeapProfiler.collectGarbage")
        return self.cdp("Runtime.getHeapUsage")["usedSize"]

    # What the page shows.

    def text(self, css):
        return self.run("return document.querySelector(arguments[0]).innerText.trim()", css)

    def rows(self, css="#output .row"):
        """The rows' texts, in order."""
        return self.run(
            "return [...document.querySelectorAll(arguments[0])].map((row) => row.textContent)",
            css)

    def until_row(self, text):
        """Waits for a row that has a text within it."""
        self.until(
            "return [...document.querySelectorAll('#output .row')]"
            ".some((row) => row.textContent.includes(arguments[0]))", text)

    def until_state(self, text):
        self.until("return document.querySelector('#facts').textContent.startsWith(arguments[0])",
                   text)


class Test:
    """A daemon, the way to it, and the page that is open there."""

    def __init__(self, processd, directory, browser):
        self.processd = processd
        self.directory = directory
        self.browser = browser

    @contextlib.contextmanager
    def daemon(self):
        with Daemon(self.processd, cwd=self.directory) as daemon:
            self.way = Way(daemon.port)
            self.api = connect(daemon.port)
            yield daemon
            self.api.close()

    def sign_in(self, token=TOKEN):
        self.browser.open("about:blank")
        self.browser.open(f"http://127.0.0.1:{self.way.port}/")
        self.browser.type("#token", token)
        self.browser.click("#sign-in-form button")
        self.browser.until("return !document.querySelector('#app').hidden")

    def start(self, command, terminal=False):
        """Starts a command from the page, which then shows it."""
        page = self.browser
        before = page.run("return location.hash")
        page.click("#new")
        page.run("document.querySelector('#start-command').value = arguments[0];"
                 "document.querySelector('#start-tty').checked = arguments[1]", command, terminal)
        page.click("#start-form .primary")
        page.until("return location.hash.length > 1 && location.hash !== arguments[0]", before)
        page.until("return !document.querySelector('#session').hidden")
        return page.run("return location.hash.slice(1)")

    def process(self, session):
        """What the API says of a session."""
        processes = call(self.api, "GET", "/processes")["processes"]
        return next(process for process in processes if process["session_id"] == session)

    def write(self, name, content):
        """Writes a file for a command to show."""
        (pathlib.Path(self.directory) / name).write_bytes(content)

    def counts(self):
        """The bytes that the page has read and missed."""
        return self.browser.run(
            "const { received, missed } = document.querySelector('#reading').dataset;"
            "return [Number(received), Number(missed)]")

    def check_bounds(self):
        """The page is as small as it says, and at work."""
        bounds = self.browser.run_async(
            "import('/rows.js').then(({ LIMITS }) => done(LIMITS), (error) => done(String(error)))")
        elements = self.browser.run("return document.querySelectorAll('#output *').length")
        # A row is an element, and so may each of its runs be.
        assert elements <= bounds["rows"] + bounds["runs"] + 2, elements
        chars = self.browser.run("return document.querySelector('#output').textContent.length")
        assert chars <= bounds["chars"] + bounds["columns"], chars
        # A hundred bytes for each character would be more than anything that may be kept.
        assert self.browser.heap() < 100 * bounds["chars"], self.browser.heap()


FACTS = []


def fact(text):
    def add(function):
        FACTS.append((text, function))
        return function
    return add


@fact("A token that is not known is refused with the reason; one that is known signs in, and is"
      " stored nowhere")
def signing_in(test):
    page = test.browser
    page.open(f"http://127.0.0.1:{test.way.port}/")
    assert page.run("return document.querySelector('#app').hidden")
    for token, reason in [("wrong", "this token is not known here"), ("é", "one word")]:
        page.run("document.querySelector('#token').value = ''")
        page.type("#token", token)
        page.click("#sign-in-form button")
        page.until("return document.querySelector('#sign-in-error').textContent"
                   ".includes(arguments[0])", reason)
        assert page.run("return document.querySelector('#app').hidden")
    page.run("document.querySelector('#token').value = ''")
    page.type("#token", TOKEN + ENTER)
    page.until("return !document.querySelector('#app').hidden")
    stored = page.run("return [localStorage.length, sessionStorage.length, document.cookie,"
                      " document.documentElement.outerHTML, location.href,"
                      " document.querySelector('#token').value]")
    assert stored[:3] == [0, 0, ""] and stored[5] == "", stored
    assert TOKEN not in stored[3] + stored[4]


@fact("A command that the page starts is listed, shown with its colors, stderr told apart, and"
      " ends")
def starting(test):
    page = test.browser
    test.sign_in()
    session = test.start("printf '\\033[1;31mred\\033[0m plain\\n'; sleep 0.2;"
                         "echo oh >&2; sleep 0.2;"
                         "printf '\\033[38;5;196mA\\033[48;2;0;0;128mB\\033[m\\n'; exit 3")
    page.until_row("The command has ended: exit code 3.")
    page.until_state("exit code 3")
    assert page.rows()[:3] == ["red plain", "oh", "AB"], page.rows()
    assert page.run("return document.querySelector('#output .bold.f1').textContent") == "red"
    assert page.rows("#output .row.of-stderr") == ["oh"]
    assert page.rows("#output span.stderr") == ["oh"]
    assert page.rows("#output span.rgb") == ["A"]
    background = page.run("return getComputedStyle([...document.querySelectorAll('#output span')]"
                          ".find((span) => span.textContent === 'B')).backgroundColor")
    assert background == "rgb(0, 0, 128)", background
    item = page.text(f"[data-id='{session}']")
    assert "printf" in item and "exit code 3" in item, item
    assert page.run("return document.querySelector('#terminate').disabled")
    page.click("#remove")
    page.until("return !document.querySelector(`[data-id='${arguments[0]}']`)", session)
    assert page.run("return document.querySelector('#session').hidden")


@fact("A command that cannot be started says why where it was typed")
def not_starting(test):
    page = test.browser
    test.sign_in()
    page.press(ALT, "n")
    page.until("return document.querySelector('#start-dialog').open")
    page.type("#start-command", "true")
    page.type("#start-cwd", "/nowhere/at/all")
    page.type("#start-command", ENTER)
    page.until("return document.querySelector('#start-error').textContent")
    assert page.run("return document.querySelector('#start-dialog').open")
    page.press(ESCAPE)
    assert not page.run("return document.querySelector('#start-dialog').open")


@fact("A session that another client starts comes into the list, and its rate, and leaves it when"
      " it is deleted")
def listing(test):
    page = test.browser
    test.sign_in()
    session = start(test.api, "while echo 0123456789; do sleep 0.01; done")
    figures = f"return document.querySelector(`[data-id='{session}'] .figures`)?.textContent"
    page.until(figures + ".match(/ · [0-9.]+ k?B\\/s$/)")
    assert page.run(figures).split(" · ")[0].endswith(" s")
    page.press(ALT, "l")
    page.press(ARROW_DOWN)
    page.run("document.activeElement.click()")
    page.until_row("0123456789")
    call(test.api, "DELETE", f"/processes/{session}")
    page.until(f"return !document.querySelector(`[data-id='{session}']`)")
    page.until_row("does not know this session any more")
    page.until_state("not known any more")


@fact("A progress bar is its last state, and a backspace goes back")
def overwriting(test):
    page = test.browser
    test.sign_in()
    test.start("for i in 1 2 3; do printf '\\r%d0%%' $i; sleep 0.1; done; echo;"
               "printf 'abc\\b\\bX\\n'; printf 'long line\\rshort\\033[K\\n'; printf 'a\\tb\\n'")
    page.until_state("exit code 0")
    page.until_row("The command has ended")
    assert page.rows()[:4] == ["30%", "aXc", "short", "a       b"], page.rows()


@fact("A line that is typed reaches `cat` in a terminal; in keys mode each key does; Ctrl-C"
      " interrupts it")
def typing(test):
    page = test.browser
    test.sign_in()
    test.start("cat", terminal=True)
    page.until_state("running")
    page.type("#input", "hello wörld" + ENTER)
    page.until("return [...document.querySelectorAll('#output .row')]"
               ".filter((row) => row.textContent === 'hello wörld').length === 2")
    assert page.run("return document.querySelector('#input').value") == ""
    page.press(ALT, "k")
    page.until("return document.querySelector('#keys').ariaPressed === 'true'")
    for key in ("k", "e", "z", BACKSPACE, "y"):
        page.press(key)
    # The terminal has echoed them, and takes a backspace for what it is; nobody pressed Enter.
    page.until_row("key")
    assert "key" == page.rows()[-1], page.rows()
    page.press(ENTER)
    page.until("return [...document.querySelectorAll('#output .row')]"
               ".filter((row) => row.textContent === 'key').length === 2")
    page.press(CONTROL, "c")
    page.until_state("SIGINT")
    assert page.run("return document.querySelector('#input').disabled")


@fact("Without a terminal a line goes to stdin, Ctrl-C is SIGINT, and the input can be ended")
def pipes(test):
    page = test.browser
    test.sign_in()
    test.start("cat; echo end of input; exec sleep 1000")
    page.until_state("running")
    page.type("#input", "a line" + ENTER)
    page.until_row("a line")
    page.click("#eof")
    page.until_row("end of input")
    page.click("#interrupt")
    page.until_state("SIGINT")
    # A command that does not go is killed.
    test.start("trap '' TERM; echo ready; while :; do sleep 1; done")
    page.until_row("ready")
    page.click("#terminate")
    page.until_state("SIGKILL")


@fact("A terminal is given a size, and that of the pane")
def resizing(test):
    page = test.browser
    test.sign_in()
    test.start("trap 'stty size' WINCH; stty size; while :; do sleep 0.1; done", terminal=True)
    page.until("return /^\\d+ \\d+$/.test(document.querySelector('#output .row').textContent)")
    page.run("document.querySelector('#rows').value = 41;"
             "document.querySelector('#cols').value = 99")
    page.click("#size-form [type=submit]")
    page.until_row("41 99")
    page.click("#fit")
    page.until("return document.querySelector('#rows').value !== '41'")
    fitting = page.run("return document.querySelector('#rows').value + ' ' +"
                       " document.querySelector('#cols').value")
    page.until_row(fitting)
    # A row of that many columns is not broken.
    columns = int(fitting.split()[1])
    heights = page.run("""
        const probes = [0, 1].map((more) => {
          const row = document.createElement("div");
          row.className = "row";
          row.textContent = "0".repeat(arguments[0] * (more + 1));
          document.querySelector("#output").append(row);
          return row;
        });
        const heights = probes.map((row) => row.offsetHeight);
        probes.forEach((row) => row.remove());
        return heights""", columns)
    assert heights[1] > heights[0] * 1.5, heights
    page.click("#terminate")
    page.until_state("SIGTERM")


@fact("A flood is shown with its gaps: what the page read and what it missed are all there was")
def flood(test):
    page = test.browser
    test.sign_in()
    session = test.start("yes 'a line of a flood, and so on, and so on' | head -c 2000000000")
    page.until("return document.querySelector('#output .gap')")
    assert re.fullmatch(r"[0-9.]+ [kMG]?B missed here", page.rows("#output .gap")[0])
    page.until_row("The command has ended")
    received, missed = test.counts()
    total = test.process(session)["total_bytes"]
    assert missed > 0 and received + missed == total == 2_000_000_000, (received, missed, total)
    shown = page.run("return [...document.querySelectorAll('#output .gap')]"
                     ".map((gap) => Number(gap.dataset.bytes)).reduce((a, b) => a + b, 0)")
    # The oldest rows go, and with them their gaps.
    assert shown <= missed
    test.check_bounds()
    heap = page.heap() / 1e6
    return f"of {total:,} bytes, {received:,} read and {missed:,} missed; heap {heap:.1f} MB"


@fact("What a user has scrolled back to stays, however much comes; then the newest is followed")
def scrolling(test):
    page = test.browser
    test.sign_in()
    session = test.start("yes 'a line of a flood, and so on, and so on'")
    page.until("return document.querySelectorAll('#output .row').length > 2000"
               " && document.querySelector('#output .gap')")
    page.run("document.querySelector('#output').scrollTop = 0")
    page.until("return document.querySelector('#reading').textContent.includes('paused')")
    page.run("window.kept = document.querySelector('#output .row')")
    before = test.counts()
    total = test.process(session)["total_bytes"]
    while test.process(session)["total_bytes"] < total + (5 << 20):
        time.sleep(0.05)
    assert page.run("return window.kept.isConnected") and test.counts() == before
    assert page.run("return document.querySelector('#follow').ariaPressed") == "false"
    page.click("#follow")
    page.until("return Number(document.querySelector('#reading').dataset.missed) > arguments[0]",
               before[1])
    page.until("return !window.kept.isConnected")
    at_end = ("const { scrollTop, scrollHeight, clientHeight } = document.querySelector('#output');"
              "return scrollHeight - scrollTop - clientHeight < 24")
    assert page.run(at_end)
    page.click("#interrupt")
    page.until_row("The command has ended")
    # Also when nothing more comes.
    page.run("document.querySelector('#output').scrollTop = 0")
    page.until("return document.querySelector('#follow').ariaPressed === 'false'")
    assert not page.run(at_end)
    page.press(ALT, "o")
    page.until(at_end)
    test.check_bounds()


@fact("Output is never markup: a script does not run, and stands there as it was written")
def markup(test):
    page = test.browser
    test.sign_in()
    hostile = ("<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'>"
               "<style>* { display: none }</style><a href='javascript:pwned()'>x</a>&lt;")
    test.write("hostile", hostile.encode() + b"\n")
    session = test.start("cat hostile; cat hostile >&2; : '" + hostile.replace("'", "\"") + "'")
    page.until_state("exit code 0")
    page.until_row("The command has ended")
    assert page.rows()[:2] == [hostile] * 2, page.rows()
    assert page.run("return window.pwned") is None
    inside = page.run("return [...document.querySelectorAll('#output *, #sessions *, #command *')]"
                      ".map((element) => element.localName)")
    assert set(inside) <= {"div", "span", "li", "button"}, set(inside)
    assert page.text("#command").startswith("cat hostile")
    call(test.api, "DELETE", f"/processes/{session}")


@fact("Escape sequences do no more than color: no title, no link, no answer, and bombs stay small")
def sequences(test):
    page = test.browser
    test.sign_in()
    test.start("printf '\\033]0;stolen\\007a\\033]8;;http://evil.example\\033\\\\link"
               "\\033]8;;\\033\\\\\\n\\033[6n\\033[c\\033]never ends\\nafter\\n\\033[8mhidden\\n';"
               "IFS= read -r -t 1 x || true; echo \"got $x\"", terminal=True)
    page.until_row("The command has ended")
    rows = page.rows()
    assert rows[:4] == ["alink", "", "after", "hidden"] and "got " in rows, rows
    assert page.run("return document.title").startswith("printf ")
    assert not page.run("return document.querySelector('#output a')")
    bombs = {
        "styles": b"\033[31mx\033[42my\033[0m" * 60_000,
        "colors": b"".join(b"\033[38;2;%d;%d;9mx" % (i % 256, i >> 8) for i in range(60_000)),
        "parameters": b"\033[" + b"1;" * 500_000 + b"m",
        "columns": b"\033[4095Gx\n" * 100_000,
        "inserts": b"\033[4096@" * 150_000 + b"\n",
        "erasures": b"y" * 4095 + b"\033[1K" * 250_000,
        "returns": b"y" * 4095 + b"\rx" * 500_000,
        "strings": b"\033]" + b"x" * 1_000_000,
        "lines": b"\n" * 1_000_000,
        "random": os.urandom(1_000_000),
        "marks": b"a" + "\u0300".encode() * 400_000 + "\u202e".encode() * 100_000,
    }
    for name, content in bombs.items():
        test.write(name, content)
        session = test.start(f"cat {name}; printf '\\r\\n\\030end of %s\\n' {name}")
        page.until_row(f"end of {name}")
        page.until_row("The command has ended")
        received, missed = test.counts()
        assert received + missed == test.process(session)["total_bytes"]
        test.check_bounds()
    return ", ".join(bombs)


@fact("A line of 10 MB takes bounded rows, and says that they go on")
def long_line(test):
    page = test.browser
    test.sign_in()
    session = test.start("head -c 10000000 /dev/zero | tr '\\0' x; echo; echo end")
    page.until_row("The command has ended")
    rows = page.rows()
    assert "end" in rows[-4:], rows[-4:]
    assert max(len(row) for row in rows) <= 4096
    assert page.run("return document.querySelectorAll('#output .continued').length") > 200
    assert sum(test.counts()) == test.process(session)["total_bytes"] == 10_000_005
    test.check_bounds()


@fact("Bytes that are not UTF-8 are replaced; a character that two chunks share is whole")
def encodings(test):
    page = test.browser
    test.sign_in()
    test.start("printf 'a\\377\\376b\\n'; printf '\\303'; sleep 0.3; printf 'o' >&2; sleep 0.3;"
               "printf '\\251\\n\\360\\237\\230'; sleep 0.3; printf '\\200\\n\\342\\202'")
    page.until_row("The command has ended")
    assert page.rows()[:4] == ["a��b", "oé", "😀", "�"], page.rows()


@fact("A full-screen program is shown as what it writes, with a word that says so")
def full_screen(test):
    page = test.browser
    test.sign_in()
    note = "return document.querySelector('#screen-note').hidden === arguments[0]"
    test.start("printf '\\033[?1049hfirst'; read x; printf '\\033[?1049l'; echo back; read x;"
               "printf '\\033[5;5Hhere\\033[9;9Hthere\\033[2;1Heverywhere\\n'; read x",
               terminal=True)
    # By the mode that such programs choose,
    page.until_row("first")
    page.until(note, False)
    page.type("#input", ENTER)
    page.until_row("back")
    page.until(note, True)
    # or by what they do.
    page.type("#input", ENTER)
    page.until_row("everywhere")
    page.until(note, False)
    rows = [row for row in page.rows() if row]
    assert rows == ["first", "back", "here", "there", "everywhere"], page.rows()
    page.click("#terminate")


@fact("What is retained can be downloaded, byte for byte")
def downloading(test):
    page = test.browser
    test.sign_in()
    content = os.urandom(300_000)
    test.write("bytes", content)
    session = test.start("cat bytes")
    page.until_state("exit code 0")
    page.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=test.directory)
    page.click("#download")
    page.until("return document.querySelector('#told').textContent === '300 kB downloaded'")
    path = pathlib.Path(test.directory) / f"{session}.raw"
    for _ in range(1200):
        if path.exists() and path.stat().st_size == len(content):
            break
        time.sleep(0.05)
    assert path.read_bytes() == content


@fact("When the way to the daemon is cut the page says so, and goes on at the same byte")
def cut(test):
    page = test.browser
    test.sign_in()
    target = test.way.target
    session = test.start("i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i; sleep 0.02; done")
    page.until_row("line 50")
    test.way.cut()
    page.until("return document.querySelector('#trouble').textContent.includes('not answer')")
    test.way.target = target
    page.until_row("The command has ended")
    assert page.rows()[:300] == [f"line {i + 1}" for i in range(300)]
    assert test.counts() == [test.process(session)["total_bytes"], 0]
    page.until("return document.querySelector('#trouble').textContent === ''")


@fact("A daemon that has been started again does not know the session, and the page says so")
def restart(test):
    page = test.browser
    with contextlib.ExitStack() as first:
        first.enter_context(test.daemon())
        test.sign_in()
        session = test.start("echo here; exec sleep 1000")
        page.until_row("here")
        # Before the daemon tells how the command ended.
        test.way.cut()
    page.until("return document.querySelector('#trouble').textContent.includes('not answer')")
    with Daemon(test.processd, cwd=test.directory) as second:
        test.way.target = second.port
        page.until_row("The daemon does not know this session any more.")
        page.until(f"return !document.querySelector(`[data-id='{session}']`)")
        page.until("return document.querySelector('#trouble').textContent === ''")
        test.start("echo again")
        page.until_row("again")


@fact("A token that is revoked brings back the question for one, with the reason")
def revoked(test):
    page = test.browser
    with test.daemon() as daemon:
        test.sign_in()
        test.start("echo here; exec sleep 1000")
        page.until_row("here")
        daemon.replace_tokens("another-token load\n")
        page.until("return document.querySelector('#app').hidden")
        assert "not known here" in page.text("#sign-in-error"), page.text("#sign-in-error")
        assert page.rows() == []
        page.type("#token", "another-token" + ENTER)
        page.until("return !document.querySelector('#app').hidden")
        # The session is still the address's.
        page.until_row("here")
        daemon.replace_tokens(f"{TOKEN} load\n")


@fact("A narrow screen shows the list or a session, and never scrolls sideways")
def narrow(test):
    page = test.browser
    page.resize(360, 640)
    try:
        test.sign_in()
        sideways = "return document.documentElement.scrollWidth > innerWidth"
        assert not page.run(sideways)
        test.start("echo " + "wide" * 100, terminal=True)
        page.until_row("wide")
        assert not page.run(sideways)
        shown = "return [...arguments].map((css) => document.querySelector(css).offsetHeight > 0)"
        assert page.run(shown, "#list-pane", "#output", "#input") == [False, True, True]
        assert page.run("return document.querySelector('#output').offsetHeight") > 150
        page.click("#back")
        page.until("return document.querySelector('#list-pane').offsetHeight > 0")
        assert page.run(shown, "#output") == [False]
        assert not page.run(sideways)
    finally:
        page.cdp("Emulation.clearDeviceMetricsOverride")


CONTRASTS = """
import("/rows.js").then(({ contrast, PAGES }) => {
  const hex = (color) => "#" + color.match(/[0-9.]+/g).slice(0, 3)
    .map((value) => Math.round(Number(value)).toString(16).padStart(2, "0")).join("");
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (color !== "rgba(0, 0, 0, 0)") return hex(color);
    }
    return "#ffffff";
  };
  const low = [];
  let count = 0;
  for (const element of document.querySelectorAll("body *")) {
    const says = [...element.childNodes].some(
      (node) => node.nodeType === 3 && node.data.trim());
    if (!says || !element.checkVisibility() || element.closest(":disabled")) continue;
    count += 1;
    const ratio = contrast(hex(getComputedStyle(element).color), behind(element));
    if (ratio < 4.5) low.push(`${element.className} ${element.textContent.slice(0, 40)} ${ratio}`);
  }
  done([count, low, PAGES[arguments[0]], behind(document.querySelector("#output"))]);
}, (error) => done(String(error)));
"""


@fact("In both themes all text has a contrast of 4.5 or more, whatever colors a program chooses")
def contrasts(test):
    page = test.browser
    test.sign_in()
    lines = [f"\033[{code}mcolor {code}" for code in [*range(30, 38), *range(90, 98)]]
    lines += [f"\033[0;38;5;{code}mindex {code}" for code in range(256)]
    lines += [f"\033[0;{code}mback {code}" for code in [*range(40, 48), *range(100, 108), 7]]
    lines += [f"\033[0;48;5;{code};38;5;{255 - code}mboth {code}" for code in range(256)]
    lines += [f"\033[0;7;38;5;{code}minverse {code}" for code in range(256)]
    test.write("palette", "\n".join(lines).encode() + b"\033[m\n")
    test.start("cat palette; echo oh >&2")
    page.until_row("The command has ended")
    counts = []
    try:
        for theme in ("dark", "light"):
            page.theme(theme)
            for selector in ("#help", "#new"):
                page.click(selector)
                count, low, declared, behind = page.run_async(CONTRASTS, theme)
                assert low == [], low
                assert declared == behind, (declared, behind)
                counts.append(count)
                page.press(ESCAPE)
    finally:
        page.theme("")
    assert min(counts) > 800, counts


@fact("Each control has a name, and `?` lists the shortcuts")
def names(test):
    page = test.browser
    test.sign_in()
    test.start("exec sleep 1000", terminal=True)
    page.until_state("running")
    nameless = page.run(
        "return [...document.querySelectorAll('button, input, select, textarea')]"
        ".filter((control) => !(control.ariaLabel || control.textContent.trim()"
        " || control.labels?.length)).map((control) => control.id)")
    assert nameless == [], nameless
    page.run("document.querySelector('#output').focus()")
    page.press("?")
    page.until("return document.querySelector('#help-dialog').open")
    assert "Change between lines and keys" in page.text("#help-dialog")
    page.press(ESCAPE)
    page.press(ALT, "i")
    assert page.run("return document.activeElement.id") == "input"
    page.click("#terminate")


LATENCIES = """
window.latencies = [];
let pressed = null;
addEventListener("keydown", () => { pressed = performance.now(); }, true);
new MutationObserver(() => {
  if (pressed === null) return;
  window.latencies.push(performance.now() - pressed);
  pressed = null;
}).observe(document.querySelector("#output"), { childList: true, subtree: true });
"""


def latencies(test, count=100):
    """The milliseconds from each key to its echo in the page, which shows `cat` in a terminal."""
    page = test.browser
    test.start("cat", terminal=True)
    page.until_state("running")
    page.press(ALT, "k")
    page.until("return document.querySelector('#keys').ariaPressed === 'true'")
    page.run(LATENCIES)
    for index in range(count):
        page.press("abcdefghij"[index % 10])
        page.until("return window.latencies.length > arguments[0]", index)
    page.until_row("abcdefghij" * (count // 10))
    figures = page.run("return window.latencies")
    page.click("#terminate")
    page.until_state("SIG")
    cuts = statistics.quantiles(figures, n=20)
    return f"p50 {statistics.median(figures):.0f} ms, p95 {cuts[18]:.0f} ms"


@fact("A key is echoed beside a flood that the page has shown")
def echo(test):
    page = test.browser
    test.sign_in()
    alone = latencies(test)
    flooding = test.start("exec cat /dev/zero")
    page.until("return document.querySelector('#output .gap')")
    before, beginning = test.process(flooding)["total_bytes"], time.monotonic()
    beside = latencies(test)
    rate = (test.process(flooding)["total_bytes"] - before) / (time.monotonic() - beginning)
    call(test.api, "DELETE", f"/processes/{flooding}")
    return f"{beside} beside {rate / 1e6:.0f} MB/s; {alone} without"


def check_log(browser):
    """Nothing was forbidden, and nothing failed but the requests that were meant to."""
    for entry in browser.log():
        if entry["level"] != "SEVERE":
            continue
        meant = re.search(r"Failed to load resource: .*(401|404|409|ERR_)", entry["message"])
        assert meant, entry["message"]


ONES_OWN = (restart, revoked)


def run(test, only):
    page = test.browser
    chosen = [(text, function) for text, function in FACTS if not only or only in function.__name__]
    assert chosen, f"no fact has {only} in its name"

    def hold(text, function):
        figure = function(test)
        violations = page.run("return window.violations")
        assert violations == [], violations
        check_log(page)
        print(f"{text}{': ' + figure if figure else ''}", flush=True)

    with test.daemon() as daemon:
        for text, function in chosen:
            if function not in ONES_OWN:
                hold(text, function)
                for process in call(test.api, "GET", "/processes")["processes"]:
                    path = f"/processes/{process['session_id']}"
                    call(test.api, "DELETE", path, statuses=(200, 404))
        assert daemon.is_running
    for text, function in chosen:
        if function in ONES_OWN:
            hold(text, function)


SHOWN = r"""
printf '\033[1mBuilding for debugging...\033[0m\n'; sleep 0.1
i=0
while [ $i -lt 6 ]; do
  i=$((i+1)); printf '\r[%d/6] Compiling \033[36mModule%d\033[0m' $i $i; sleep 0.1
done
printf '\n\033[33mwarning:\033[0m unused variable \033[1m`count`\033[0m\n'; sleep 0.2
echo 'ld: a library is newer than what it is linked into' >&2; sleep 0.2
printf '\033[32mBuild complete!\033[0m (4.2s)\n\n'; sleep 0.2
# A progress bar that is drawn far more often than anyone can see.
yes "$(printf '\rFetching fixtures: 512 MB of 512 MB')" | tr -d '\n' | head -c 80000035; sleep 0.3
printf '\n\n'
i=0
while [ $i -lt 5 ]; do
  i=$((i+1))
  printf '\033[32m✔\033[0m Test \033[1mcase %d\033[0m passed after 0.0%d seconds\n' $i $i
done
printf '\033[31m✘\033[0m Test \033[1mcase 6\033[0m failed after 1.3 seconds\n'; sleep 0.2
echo 'case 6: expected 12, found 13' >&2; sleep 0.2
printf '\n\033[44;97m INFO \033[0m listening on http://localhost:3000\n'; exec sleep 1000
"""


def picture(test, path, width, height, theme):
    """Makes the picture of the README."""
    page = test.browser
    with test.daemon():
        page.resize(width, height)
        page.theme(theme)
        for name, command in [
            ("tests", "exit 0"), ("lint", "exit 3"),
            ("server", "while echo GET /; do sleep 0.05; done"),
        ]:
            call(test.api, "POST", "/envs/local/tool/call", {
                "tool": "exec_command", "arguments": {"command": command, "name": name}})
        test.sign_in()
        test.write("build", SHOWN.encode())
        test.start("exec sh ./build")
        page.until_row("listening")
        page.until("return document.querySelector('.figures').textContent.includes(' lost')")
        page.until("return !/kB\\/s|MB\\/s/.test(document.querySelector('#facts').textContent)")
        page.run("document.querySelector('#output').focus()")
        pathlib.Path(path).write_bytes(page.screenshot())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("processd", nargs="?", default=SERVER / ".build/debug/processd")
    parser.add_argument("--only", help="the facts whose functions have this in their names")
    parser.add_argument("--screenshot", metavar="FILE")
    parser.add_argument("--narrow", action="store_true")
    parser.add_argument("--light", action="store_true")
    options = parser.parse_args()
    processd = str(pathlib.Path(options.processd).resolve())
    with tempfile.TemporaryDirectory() as directory:
        browser = Browser(directory)
        try:
            test = Test(processd, directory, browser)
            if options.screenshot:
                size = (390, 780) if options.narrow else (1180, 720)
                picture(test, options.screenshot, *size, "light" if options.light else "dark")
            else:
                run(test, options.only)
        finally:
            browser.close()


if __name__ == "__main__":
    sys.exit(main())
