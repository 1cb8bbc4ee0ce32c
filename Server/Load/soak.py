"""Lets processd live through a day's work in an hour, and sees that it is after it as it was before:

    python3 Server/Load/soak.py [--seconds 3600] [PROCESSD]

Sessions come and go, flood, fall silent, leave processes behind and are deleted or forgotten; clients poll, follow,
stall, hang up and send half a request; tokens are read again. Notes memory, descriptors, threads and processes when
a sixth of the time is over, and fails if there are more of them at the end: each time after all clients have gone and
all sessions were deleted. The memory may be a fifth larger, or 16 MiB: a short run has not warmed up by then.
"""

import argparse
import http.client
import pathlib
import random
import socket
import sys
import threading
import time

from daemon import TOKEN, Daemon, call, connect, start

SERVER = pathlib.Path(__file__).resolve().parent.parent
CLIENTS = 12

COMMANDS = [
    "true", "echo hello", "exit 7", "head -c 3000000 /dev/zero", "exec cat /dev/zero", "exec sleep 1000",
    "yes | head -n 200000", "exec cat", "sleep 1000 & echo $!", "(sleep 1; echo late) & echo early",
    "trap '' TERM; sleep 1000", "while :; do echo x; sleep 0.01; done", "kill -9 $$",
]


class Worker(threading.Thread):
    """A client that does one thing after another until told to stop."""

    def __init__(self, daemon, seed, until):
        super().__init__()
        self.target, self.until = daemon, until
        self.random = random.Random(seed)
        self.count = 0
        self.refused = 0
        self.error = None

    def run(self):
        while time.monotonic() < self.until:
            try:
                self.step()
                self.count += 1
            except AssertionError as error:
                # Too many sessions, or no room: what a client has to expect.
                if len(error.args[0]) == 4 and error.args[0][2] in (404, 409, 429, 503):
                    self.refused += 1
                    time.sleep(0.05)
                else:
                    self.error = error
                    return
            except (OSError, http.client.HTTPException):
                # Cut off, for its slowness or for others.
                self.refused += 1

    def step(self):
        connection = connect(self.target.port)
        try:
            self.random.choice([self.poll, self.follow, self.stall, self.shell, self.half, self.forget])(connection)
        finally:
            connection.close()

    def begin(self, connection):
        return start(connection, self.random.choice(COMMANDS), stdin=self.random.random() < 0.3)

    def poll(self, connection):
        session = self.begin(connection)
        cursor = "0"
        for _ in range(self.random.randrange(1, 20)):
            answer = call(
                connection, "GET",
                f"/processes/{session}/output?since={cursor}&wait_ms=200&max_bytes={self.random.choice([100, 1 << 20])}")
            cursor = answer["cursor"]
            if answer["closed"] and not answer["has_more"]:
                break
        if self.random.random() < 0.2:
            call(connection, "POST", f"/processes/{session}/terminate", {})
        call(connection, "DELETE", f"/processes/{session}")

    def follow(self, connection):
        session = self.begin(connection)
        connection.request(
            "GET", f"/api/sdk/processes/{session}/events", headers={"Authorization": f"Bearer {TOKEN}"})
        response = connection.getresponse()
        end = time.monotonic() + self.random.random()
        connection.sock and connection.sock.settimeout(1)
        try:
            while time.monotonic() < end and response.read1(1 << 16):
                pass
        except TimeoutError:
            pass
        other = connect(self.target.port)
        call(other, "DELETE", f"/processes/{session}")
        other.close()

    def stall(self, connection):
        """Asks for much, and reads nothing of it."""
        session = start(connection, ["cat", "/dev/zero"])
        route = self.random.choice(["output", "events"])
        with socket.create_connection(("127.0.0.1", self.target.port)) as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for _ in range(4):
                reader.sendall(
                    f"GET /api/sdk/processes/{session}/{route} HTTP/1.1\r\nHost: localhost\r\n"
                    f"Authorization: Bearer {TOKEN}\r\n\r\n".encode())
            time.sleep(self.random.random())
        call(connection, "DELETE", f"/processes/{session}")

    def shell(self, connection):
        call(
            connection, "POST", "/envs/local/tool/call",
            {"tool": "shell", "arguments": {
                "command": self.random.choice(COMMANDS), "timeout_ms": self.random.randrange(1, 500),
                "end_background": self.random.random() < 0.5}})

    def half(self, connection):
        """Sends half a request."""
        with socket.create_connection(("127.0.0.1", self.target.port)) as writer:
            writer.sendall(
                f"POST /api/sdk/envs/list HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
                f"Authorization: Bearer {TOKEN}\r\n\r\n".encode() + b" " * self.random.randrange(500_000))
            time.sleep(self.random.random() / 2)

    def forget(self, connection):
        """Leaves a session to the idle timeout, or to eviction."""
        self.begin(connection)
        time.sleep(self.random.random() / 10)


def load(daemon, seconds, round):
    """Has clients work for so long, and then everything ended; returns what was done and refused."""
    until = time.monotonic() + seconds
    workers = [Worker(daemon, f"{round}/{index}", until) for index in range(CLIENTS)]
    for worker in workers:
        worker.start()
    while time.monotonic() < until:
        time.sleep(min(1, max(0, until - time.monotonic())))
        daemon.reload()
    for worker in workers:
        worker.join()
        if worker.error:
            raise worker.error
    connection = connect(daemon.port)
    for session in call(connection, "GET", "/processes")["processes"]:
        # It may have been idle for too long meanwhile.
        call(connection, "DELETE", f"/processes/{session['session_id']}", statuses=(200, 404))
    connection.close()
    assert daemon.settled(0, seconds=60), f"left over: {daemon.children()} children"
    return sum(worker.count for worker in workers), sum(worker.refused for worker in workers)


def figures(daemon, before=None):
    """Memory, descriptors, threads and processes, once what is about to go has gone: some seconds at most."""
    for _ in range(300):
        if before and daemon.memory() <= before[0] * 1.2 and daemon.descriptors() <= before[1]:
            break
        time.sleep(0.1 if before else 0.03)
    return daemon.memory(), daemon.descriptors(), daemon.threads(), daemon.children()


def show(name, found):
    memory, descriptors, threads, children = found
    print(f"  {name:<16} {memory:6.0f} MiB  {descriptors} descriptors  {threads} threads  {children} processes", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("processd", nargs="?", default=str(SERVER / ".build/release/processd"))
    arguments = parser.parse_args()
    options = ["--sessions-per-workspace", "40", "--idle-timeout", "5s", "--retained-mib-per-workspace", "16"]
    with Daemon(arguments.processd, *options) as daemon:
        show("at the start", figures(daemon))
        done, refused = load(daemon, arguments.seconds / 6, "first")
        first = figures(daemon)
        show("after a sixth", first)
        more = load(daemon, arguments.seconds * 5 / 6, "second")
        last = figures(daemon, first)
        show("at the end", last)
        print(f"  {done + more[0]} things done, {refused + more[1]} refused, in {arguments.seconds} s", flush=True)
        assert daemon.is_running, "the daemon has ended"
        # What the allocator cannot give back differs by tens of MiB from run to run. A leak exceeds
        # that in an hour.
        assert last[0] <= max(first[0] * 1.2, first[0] + 64), "more memory than before"
        assert last[1] <= first[1] + 2, "more descriptors than before"
        # The threads that start processes are made when they are needed first, and are eight at
        # most.
        assert last[2] <= first[2] + 8, "more threads than before"
        assert last[3] <= first[3], "more processes than before"


if __name__ == "__main__":
    sys.exit(main())
