"""Sends processd requests that are wrong in every way, and sees that none breaks it:

    python3 Server/Load/malformed.py [--requests 100000] [--seed 1] [PROCESSD]

Fails if one is answered with a status of 500 or more, if one with a whole head is not answered at all, or
if the daemon ends, or is left with more descriptors or processes than before.
"""

import argparse
import collections
import json
import multiprocessing
import pathlib
import random
import re
import socket
import sys

from daemon import TOKEN, Daemon, connect, start

SERVER = pathlib.Path(__file__).resolve().parent.parent

ODD_VALUES = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 2**64, 1e308, 0.5, "", "\0", "é", "🙂", "*",
    "A" * 5000, "YQ==", "YQ", "=", [], {}, [[]], [None], {"a": 1}, {"": ""}, "SIGTERM", "SIGNONE",
]
ODD_NUMBERS = [
    "", "-1", "0", "1", "x", "1e9", "0x10", "9223372036854775807", "9223372036854775808", "-0", "+1",
    "1.5", "1.5.7", "1.2.3.4", "%00", "%ff", "%", "%zz", "1%20", "9" * 300, "NaN", "-9223372036854775808",
    "9223372036854775807.9223372036854775807.18446744073709551615",
]
ODD_BYTES = [b"\r", b"\n", b"\0", b"\xff", b" ", b":", b"\r\n", b"\r\n\r\n", b"%", b"{", b'"', b"\t"]


class Fuzzer:
    def __init__(self, seed, session):
        self.random = random.Random(seed)
        self.session = session

    def routes(self):
        sid = self.session
        return [
            ("POST", "/api/sdk/envs/list", {}),
            ("POST", "/api/sdk/envs/local/tool/call",
             {"tool": "exec_command", "arguments": {"command": ["true"], "cwd": "/", "env": {"A": "b"},
                                                    "tty": False, "rows": 24, "cols": 80}}),
            ("POST", "/api/sdk/envs/local/tool/call",
             {"tool": "shell", "arguments": {"command": ["true"], "timeout_ms": 1000}}),
            ("GET", f"/api/sdk/processes/{sid}/output?since=0&wait_ms=1&max_bytes=10", None),
            ("GET", f"/api/sdk/processes/{sid}/events?since=0", None),
            ("POST", f"/api/sdk/processes/{sid}/stdin", {"data_b64": "YQ==", "eof": False}),
            ("POST", f"/api/sdk/processes/{sid}/signal", {"signal": "SIGCONT"}),
            ("POST", f"/api/sdk/processes/{sid}/resize", {"rows": 1, "cols": 2}),
            ("POST", "/mcp", self.message("initialize", {"protocolVersion": "2025-11-25"})),
            ("POST", "/mcp", self.message("tools/call", {
                "name": "exec_command", "arguments": {"command": ["true"], "wait_ms": 1000}})),
            ("POST", "/mcp", self.message("tools/call", {
                "name": "read_output",
                "arguments": {"session_id": sid, "since": "0", "max_bytes": 300, "part": "head"}})),
            ("POST", "/mcp", [self.message("tools/call", {"name": "list", "arguments": {}})]),
            ("GET", "/api/sdk/processes", None),
            ("DELETE", "/api/sdk/processes/00000000000000000000000000000000", None),
            ("GET", "/healthz", None),
            ("GET", "/metrics", None),
        ]

    @staticmethod
    def message(method, params):
        return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}

    def request(self):
        """The bytes of a request in which something is wrong, or odd at least."""
        r = self.random
        method, path, body = r.choice(self.routes())
        headers = [("Host", "localhost"), ("Authorization", f"Bearer {TOKEN}")]
        kind = r.randrange(6)
        if kind == 0 and body is not None:
            body = self.odd_json(body)
        elif kind == 1:
            path = self.odd_path(path)
        elif kind == 2:
            headers = self.odd_headers(headers)
        elif kind == 3:
            method = r.choice(["", "get", "POST ", "PUT", "HEAD", "OPTIONS", "TRACE", "CONNECT", "X" * 99, method])
        data = b"" if body is None else json.dumps(body).encode()
        if kind == 4 and data:
            data = self.odd_bytes(data)
        if r.random() < 0.1:
            headers.append(("Transfer-Encoding", r.choice(["chunked", "chunked, chunked", "gzip", ""])))
            data = r.choice([b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data), b"zz\r\n", b"-1\r\n\r\n", data])
        elif data or r.random() < 0.1:
            length = r.choice([len(data)] * 8 + [len(data) + 1, max(0, len(data) - 1), -1, 2**63, "x", 3 << 20])
            headers.append(("Content-Length", str(length)))
        version = r.choice(["1.1"] * 12 + ["1.0", "2.0", "0.9", "", "1.1.1"])
        head = f"{method} {path} HTTP/{version}\r\n".encode("utf-8", "surrogateescape")
        for name, value in headers:
            head += f"{name}: {value}\r\n".encode("utf-8", "surrogateescape")
        request = head + b"\r\n" + data
        if kind == 5:
            request = self.odd_bytes(request)
        return request

    def odd_json(self, value):
        """The value with one place of it changed."""
        r = self.random
        if isinstance(value, dict) and value and r.random() < 0.8:
            value = dict(value)
            key = r.choice(list(value))
            action = r.randrange(4)
            if action == 0:
                del value[key]
            elif action == 1:
                value[r.choice(["", "x", "Tool", "\0", key + " "])] = value.pop(key)
            else:
                value[key] = self.odd_json(value[key])
            return value
        if r.random() < 0.1:
            for _ in range(r.choice([5, 100, 2000])):
                value = [value]
            return value
        return r.choice(ODD_VALUES)

    def odd_path(self, path):
        r = self.random
        action = r.randrange(6)
        if action == 0 and "=" in path:
            return re.sub(r"=\w+", lambda _: "=" + r.choice(ODD_NUMBERS), path)
        if action == 1:
            parts = path.split("/")
            parts[r.randrange(len(parts))] = r.choice(["", "..", ".", "%2f", "%00", "x" * 9000, "é", "{sid}", "*"])
            return "/".join(parts)
        if action == 2:
            return path + r.choice(["/", "//", "?", "??", "#", "&", "?since", "?=&=", "%", "?since=1&since=2", "/x"])
        if action == 3:
            return r.choice(["", "*", "http://x/", "//", "/", "?", "x", "\x7f", "/" + "a/" * 3000])
        if action == 4:
            return path.upper()
        return path[: r.randrange(len(path) + 1)]

    def odd_headers(self, headers):
        r = self.random
        action = r.randrange(7)
        if action == 0:
            return headers + [("X" + str(i), "y") for i in range(r.choice([50, 99, 101, 500]))]
        if action == 1:
            return headers + [("X", "y" * r.choice([1000, 16000, 17000, 70000]))]
        if action == 2:
            return headers[:1] + [("Authorization", r.choice(
                ["", "Bearer", "Bearer ", "Basic YTpi", TOKEN, "Bearer " + TOKEN[:-1], "Bearer " + "x" * 300, "Bearer é"]))]
        if action == 3:
            return headers + [("Last-Event-ID", r.choice(ODD_NUMBERS))]
        if action == 4:
            return headers + [("Expect", r.choice(["100-continue", "200-ok", ""]))]
        if action == 5:
            return headers + [("Connection", r.choice(["close", "upgrade", "keep-alive, close", ""])), ("Upgrade", "websocket")]
        return headers + [(r.choice(["", " ", "a b", "é", "\0", "Content-Length"]), r.choice(["0", "-1", "x"]))]

    def odd_bytes(self, data):
        r = self.random
        data = bytearray(data)
        for _ in range(r.choice([1, 1, 1, 2, 5, 30])):
            place = r.randrange(len(data) + 1)
            action = r.randrange(5)
            if action == 0:
                data[place:place] = r.choice(ODD_BYTES)
            elif action == 1:
                del data[place : place + r.choice([1, 1, 4, 50])]
            elif action == 2 and place < len(data):
                data[place] = r.randrange(256)
            elif action == 3:
                data[place:place] = data[: r.randrange(50)]
            else:
                del data[place:]
        return bytes(data)


def answer(port, request):
    """All that the server answers before it hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        received = b""
        try:
            connection.sendall(request)
            # No more will come: what is incomplete stays so.
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(1 << 20):
                received += part
        except (ConnectionResetError, BrokenPipeError):
            pass
        return received


def work(arguments):
    """Sends so many requests; returns how often each status came, and what must not be."""
    port, session, seed, count = arguments
    fuzzer = Fuzzer(seed, session)
    statuses = collections.Counter()
    wrong = []
    for _ in range(count):
        request = fuzzer.request()
        try:
            received = answer(port, request)
        except (TimeoutError, OSError) as error:
            wrong.append((repr(error), request))
            statuses["failed"] += 1
            continue
        found = re.findall(rb"(?:^|[\r\n}])HTTP/1\.[01] (\d\d\d) ", received)
        if not found:
            statuses["none"] += 1
            # Nothing but an incomplete head may go without an answer.
            if b"\r\n\r\n" in request.lstrip(b"\r\n"):
                wrong.append(("no answer", request))
        for status in found:
            statuses[status.decode()] += 1
            # There may be no room for a while, which is said with a status of its own.
            if status >= b"500" and status != b"503":
                wrong.append((status.decode(), request))
    return statuses, wrong


def main():
    sys.setrecursionlimit(10_000)  # For JSON that is deep.
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("processd", nargs="?", default=str(SERVER / ".build/release/processd"))
    arguments = parser.parse_args()
    with Daemon(arguments.processd, "--sessions-per-workspace", "50", "--idle-timeout", "2s") as daemon:
        with multiprocessing.Pool(4) as pool:
            before, memory = daemon.descriptors(), daemon.memory()
            connection = connect(daemon.port)
            # Survives what requests may send; and is not idle, for it is asked about all the time.
            session = start(connection, "trap '' HUP TERM; echo; cat; while :; do sleep 1; done", stdin=True)
            connection.close()
            share = arguments.requests // 16
            jobs = [(daemon.port, session, f"{arguments.seed}/{i}", share) for i in range(16)]
            statuses, wrong = collections.Counter(), []
            for some, bad in pool.imap_unordered(work, jobs):
                statuses += some
                wrong += bad
        print(f"{share * 16} malformed requests, seed {arguments.seed}; answers by status:")
        print("  " + ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items())))
        for what, request in wrong[:5]:
            print(f"  {what} for {request[:2000]!r}")
        assert daemon.is_running, "the daemon has ended"
        assert not wrong, f"{len(wrong)} wrong answers"
        settled = daemon.settled(before)
        print(
            f"  descriptors {before} before, {daemon.descriptors()} after;"
            f" resident {memory:.0f} MiB before, {daemon.memory():.0f} after"
        )
        assert settled, f"left over: {daemon.descriptors()} descriptors, {daemon.children()} children"


if __name__ == "__main__":
    sys.exit(main())
