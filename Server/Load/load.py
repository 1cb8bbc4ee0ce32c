"""Polls processd over 64 connections while 50 children flood, and counts every byte:

    python3 Server/Load/load.py [--seconds 10] [PROCESSD]

Needs wrk (apt-get install wrk). Prints requests per second and latencies, of polls and of /healthz, which
is what the HTTP server alone can do. Fails if an answer is wrong, if a byte was lost that was not
counted, or if memory, descriptors or processes are not bounded, or not back where they were afterwards.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

from daemon import TOKEN, Daemon, call, connect, size, start

SERVER = pathlib.Path(__file__).resolve().parent.parent
CHILDREN = 50
CONNECTIONS = 64


def wrk(port, mode, seconds, sids):
    """What wrk measured."""
    command = [
        "wrk", f"-t{CONNECTIONS}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "--latency",
        "-s", str(SERVER / "Load/poll.lua"), f"http://127.0.0.1:{port}/", "--", mode,
    ]
    result = subprocess.run(
        command, env={**os.environ, "SIDS": " ".join(sids), "TOKEN": TOKEN}, capture_output=True, text=True
    )
    lines = [line for line in result.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, result.stdout + result.stderr
    return json.loads(lines[0].removeprefix("RESULT "))


class Reader(threading.Thread):
    """Follows a session to its end, and decodes every byte of it."""

    def __init__(self, port, sid):
        super().__init__()
        self.port, self.sid = port, sid
        self.received = self.missed = 0
        self.error = None

    def run(self):
        try:
            connection = connect(self.port)
            cursor, over = "0", False
            while not over:
                answer = call(connection, "GET", f"/processes/{self.sid}/output?since={cursor}&wait_ms=5000")
                self.missed += answer["missed_bytes"]
                for chunk in answer["chunks"]:
                    assert chunk["offset"] == self.received + self.missed, "a byte went missing uncounted"
                    self.received += size(chunk)
                cursor = answer["cursor"]
                over = answer["closed"] and not answer["has_more"]
            connection.close()
        except BaseException as error:
            self.error = error


class Watch(threading.Thread):
    """Keeps the largest values that were seen."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.target = daemon
        self.memory = self.descriptors = self.threads = 0
        self.is_over = threading.Event()

    def run(self):
        while not self.is_over.wait(0.05):
            self.memory = max(self.memory, self.target.memory())
            self.descriptors = max(self.descriptors, self.target.descriptors())
            self.threads = max(self.threads, self.target.threads())


def show(name, result, floods=""):
    rate = result["requests"] / result["seconds"]
    print(
        f"  {name:<34} {rate:9.0f}/s  p50 {result['p50']:8.2f} ms  p99 {result['p99']:8.2f} ms"
        f"  {result['bytes'] / result['seconds'] / 1e6:7.1f} MB/s{floods}"
    )
    return rate


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("processd", nargs="?", default=str(SERVER / ".build/release/processd"))
    arguments = parser.parse_args()
    seconds = arguments.seconds
    with Daemon(arguments.processd, "--sessions-per-workspace", "100") as daemon:
        connection = connect(daemon.port)
        quiet = start(connection, ["sleep", "1000"])
        # The first round is for the allocator and everybody's buffers.
        wrk(daemon.port, "health", 1, [quiet])
        daemon.settled(0, children=1)
        before = daemon.descriptors(), daemon.memory()
        print(f"{CONNECTIONS} connections, {seconds} s each; nobody floods:")
        health = show("/healthz", wrk(daemon.port, "health", seconds, [quiet]))
        idle = wrk(daemon.port, "idle", seconds, [quiet])
        rate = show("output, nothing new", idle)
        print(f"    {rate / health:.2f} of /healthz")

        print(f"{CHILDREN} children flood:")
        watch = Watch(daemon)
        watch.start()
        sids = [start(connection, ["cat", "/dev/zero"]) for _ in range(CHILDREN)]
        readers = [Reader(daemon.port, sid) for sid in sids[:4]]
        for reader in readers:
            reader.start()
        captured = daemon.metrics()["processd_captured_bytes_total"]
        begin = time.monotonic()
        health = show("/healthz", wrk(daemon.port, "health", seconds, sids))
        flooded = wrk(daemon.port, "idle", seconds, sids)
        rate = show("output, nothing new", flooded)
        print(f"    {rate / health:.2f} of /healthz")
        follow = wrk(daemon.port, "follow", seconds, sids)
        show("output, all that is new", follow)
        took = time.monotonic() - begin
        captured = daemon.metrics()["processd_captured_bytes_total"] - captured
        print(
            f"    {follow['polls']:.0f} answers: {follow['read'] / 1e6:.0f} MB read, {follow['missed'] / 1e6:.0f} MB"
            f" missed in {follow['gaps']:.0f} gaps, {follow['wrong']:.0f} bytes uncounted;"
            f" {captured / took / 1e6:.0f} MB/s captured all the while"
        )
        for sid in sids:
            call(connection, "POST", f"/processes/{sid}/terminate", {})
        for reader in readers:
            reader.join()
        watch.is_over.set()
        watch.join()

        total = lost = 0
        for sid in sids:
            answer = call(connection, "GET", f"/processes/{sid}/output?since=0&wait_ms=60000")
            while not answer["closed"]:
                answer = call(connection, "GET", f"/processes/{sid}/output?since={answer['cursor']}&wait_ms=60000")
            whole = call(connection, "GET", f"/processes/{sid}/output?since=0")
            retained = sum(size(chunk) for chunk in whole["chunks"])
            end = int(whole["cursor"].split(".")[1])
            assert whole["exit_code"] == 143 and whole["signal"] == "SIGTERM", whole["exit_code"]
            assert whole["lost_bytes"] + retained == end, "lost and retained are not all"
            total += end
            lost += whole["lost_bytes"]
        for reader in readers:
            if reader.error:
                raise reader.error
        ends = {sid: call(connection, "GET", f"/processes/{sid}/output?since=9000000000000000000")["cursor"] for sid in sids[:4]}
        for reader in readers:
            assert reader.received + reader.missed == int(ends[reader.sid].split(".")[1]), "a reader's bytes are not all"
        print(f"    {total / 1e9:.1f} GB captured = {lost / 1e9:.1f} GB lost + {(total - lost) / 1e6:.0f} MB retained, exactly;")
        print("    four readers decoded every byte that they did not miss: received + missed = captured, exactly")

        for sid in [*sids, quiet]:
            call(connection, "DELETE", f"/processes/{sid}")
        connection.close()
        settled = daemon.settled(before[0])
        # The daemon gives memory back when it sweeps, every few seconds.
        for _ in range(100):
            if daemon.memory() <= before[1] * 1.5:
                break
            time.sleep(0.1)
        after = daemon.descriptors(), daemon.memory()
        print(
            f"descriptors {before[0]} before, at most {watch.descriptors}, {after[0]} after; threads at most {watch.threads};"
            f" resident {before[1]:.0f} MiB before, at most {watch.memory:.0f}, {after[1]:.0f} after"
        )
        failures = sum(result["failed"] for result in (idle, flooded, follow))
        assert failures == 0, f"{failures:.0f} requests failed"
        assert follow["polls"] > 0 and follow["wrong"] == 0, "a byte went missing uncounted"
        assert settled, f"left over: {after[0]} descriptors, {daemon.children()} children"
        # Two pipes and a pidfd for each child; a connection each for wrk, the readers, this and
        # /metrics.
        assert watch.descriptors <= before[0] + 4 * CHILDREN + CONNECTIONS + 10, "too many descriptors"
        # A full session; and an answer of 1.4 MB, of which there may be one more in the making.
        assert watch.memory <= before[1] + CHILDREN * 2 + (CONNECTIONS + 4) * 8, "too much memory"


if __name__ == "__main__":
    sys.exit(main())
