"""What a fleet costs, and how fast it is, on this machine:

    python3 Server/Load/fleet_figures.py [--seconds 5] PROCESSD

Build processd with `-c release` for figures. All of it, Redis and the clients included, shares this
machine's processors.
"""

import argparse
import base64
import os
import pathlib
import re
import selectors
import socket
import time

from fleet import Fleet
from serving import TOKENS, until

FLOOD = "exec cat /dev/zero"


def cpu(pid):
    """The processor time that a process has used, in seconds."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def quantile(times, share):
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1000


def replication(fleet, seconds):
    """A flood that is stored in Redis, beside the same one with Redis stopped."""
    a, redis = fleet.members[0], fleet.redis
    found = {}
    for is_stored in (True, False):
        if not is_stored:
            redis.stop()
        session = a.start_command(FLOOD)
        time.sleep(1)
        before = (
            a.listed(session)["total_bytes"],
            cpu(a.process.pid),
            0 if not is_stored else stored(redis),
        )
        time.sleep(seconds)
        after = (
            a.listed(session)["total_bytes"],
            cpu(a.process.pid),
            0 if not is_stored else stored(redis),
        )
        found[is_stored] = [(y - x) / seconds for x, y in zip(before, after)]
        a.call("DELETE", f"/processes/{session}")
    redis.start()
    until(lambda: all(member.call("GET", "/processes")["complete"] for member in fleet.members))
    with_it, without = found[True], found[False]
    print(
        f"a flood: {with_it[0] / 1e6:.0f} MB/s captured while {with_it[2] / 1e6:.0f} MB/s go to "
        f"Redis, with {with_it[1]:.2f} processors in processd; "
        f"without Redis {without[0] / 1e6:.0f} MB/s with {without[1]:.2f}"
    )


def stored(redis):
    info = redis.ask("INFO", "stats").decode()
    return int(
        next(l for l in info.splitlines() if l.startswith("total_net_input_bytes:")).split(":")[1]
    )


def waking(fleet, count=200):
    """From a write to stdin until a reader has its echo, here and through another server."""
    a, b, _ = fleet.members
    session = a.start_command("cat", pipe_stdin=True)
    for reader in (a, b):
        times = []
        for number in range(count):
            # Batches are 20 ms apart: as people type, not as fast as can be.
            time.sleep(0.03)
            cursor = reader.output(session)["cursor"]
            start = time.perf_counter()
            a.call(
                "POST",
                f"/processes/{session}/stdin",
                {"data_b64": base64.b64encode(b"%d\n" % number).decode()},
            )
            answer = reader.output(session, cursor, wait_ms=10_000)
            assert answer["chunks"]
            times.append(time.perf_counter() - start)
        where = "the session's server" if reader is a else "another server"
        print(
            f"an echo through {where}: p50 {quantile(times, 0.5):.1f} ms, "
            f"p99 {quantile(times, 0.99):.1f} ms"
        )
    a.call("DELETE", f"/processes/{session}")


def fan_out(fleet, seconds, count=200):
    """A flood that many follow on another server."""
    a, b, _ = fleet.members
    session = a.start_command(FLOOD)
    b.output(session, wait_ms=10_000)
    selector = selectors.DefaultSelector()
    request = (
        f"GET /api/sdk/processes/{session}/events?from=now HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {TOKENS['wa']}\r\n\r\n"
    ).encode()
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", b.port))
        connection.sendall(request)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ, [0])
    time.sleep(1)
    begin = stored(fleet.redis), sent(fleet.redis), cpu(b.process.pid)
    start = time.monotonic()
    while time.monotonic() < start + seconds:
        for key, _ in selector.select(0.1):
            key.data[0] += len(key.fileobj.recv(1 << 20))
    counts = [key.data[0] for key in selector.get_map().values()]
    time_passed = time.monotonic() - start
    end = stored(fleet.redis), sent(fleet.redis), cpu(b.process.pid)
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    print(
        f"a flood followed by {count} on another server: "
        f"{sum(counts) / time_passed / 1e6:.0f} MB/s of events, each "
        f"follower at least {min(counts) / time_passed / 1e6:.2f} MB/s; Redis takes "
        f"{(end[0] - begin[0]) / time_passed / 1e6:.0f} and gives "
        f"{(end[1] - begin[1]) / time_passed / 1e6:.0f} MB/s"
    )
    a.call("DELETE", f"/processes/{session}")


def sent(redis):
    info = redis.ask("INFO", "stats").decode()
    return int(
        next(l for l in info.splitlines() if l.startswith("total_net_output_bytes:")).split(":")[1]
    )


def many(fleet, count=2_000):
    """Many sessions at a time that are silent."""
    a, b, _ = fleet.members
    empty = used(fleet.redis)
    start = time.monotonic()
    sessions = [a.start_command("echo ready; exec sleep 1000") for _ in range(count)]
    launched = time.monotonic() - start
    until(lambda: fleet.redis.ask("ZCARD", "processd:workspace:wa") >= count)
    start = time.monotonic()
    listed = b.call("GET", "/processes")
    listing = time.monotonic() - start
    assert listed["complete"] and len(listed["processes"]) >= count, len(listed["processes"])
    before = int(
        next(
            l
            for l in fleet.redis.ask("INFO", "stats").decode().splitlines()
            if l.startswith("total_commands_processed:")
        ).split(":")[1]
    )
    used_cpu = cpu(a.process.pid)
    time.sleep(10)
    after = int(
        next(
            l
            for l in fleet.redis.ask("INFO", "stats").decode().splitlines()
            if l.startswith("total_commands_processed:")
        ).split(":")[1]
    )
    print(
        f"{count} sessions: started in {launched:.1f} s; Redis holds "
        f"{(used(fleet.redis) - empty) / count / 1024:.1f} KiB "
        f"for each; another server lists them in {listing:.2f} s; while they are silent, Redis "
        f"gets {(after - before) / 10:.0f} commands a second, and processd takes "
        f"{(cpu(a.process.pid) - used_cpu) / 10:.3f} "
        "processors"
    )
    times = []
    for session in sessions[:200]:
        start = time.perf_counter()
        assert b.output(session)["chunks"]
        times.append(time.perf_counter() - start)
    print(f"the first read of a session of another server: p50 {quantile(times, 0.5):.1f} ms")


def limits(fleet):
    """How many batches one Redis stores in a second: where a fleet ends."""
    source = (
        pathlib.Path(__file__).parent.parent / "Sources/ProcessServer/Fleet/FleetScripts.swift"
    ).read_text()
    store = re.search(
        r'static let store = RedisScript\(\s+source: """\n(.*?)"""', source, re.S
    ).group(1)
    redis = fleet.redis
    redis.ask("HSET", "processd:session:figures", "life", "L")
    sha = redis.ask("SCRIPT", "LOAD", store).decode()
    for size in (100, 1_000, 65_000):
        count = 200_000_000 // (size + 2_000)
        with socket.create_connection(("127.0.0.1", redis.port)) as connection:
            file = connection.makefile("rb")
            start, sent_count, replied = time.monotonic(), 0, 0
            while replied < count:
                batch = min(50, count - sent_count)
                parts = []
                for number in range(sent_count + 1, sent_count + batch + 1):
                    words = [
                        "EVALSHA",
                        sha,
                        "3",
                        "processd:session:figures",
                        f"processd:stream:figures-{size}",
                        "processd:workspace:figures",
                        "L",
                        "60000",
                        "processd:news:figures",
                        "s" * 250,
                        "0",
                        f"{number}-{number * size}",
                        "cc",
                        "d" * size,
                        f"{max(1, number - 16)}-0",
                    ]
                    parts.append(
                        b"*%d\r\n" % len(words)
                        + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words)
                    )
                connection.sendall(b"".join(parts))
                sent_count += batch
                for _ in range(batch):
                    assert file.readline().startswith(b"+OK"), "not stored"
                    replied += 1
            passed = time.monotonic() - start
        print(
            f"one Redis stores {count / passed:.0f} batches of {size} bytes a second, "
            f"{count * size / passed / 1e6:.0f} MB/s"
        )


def used(redis):
    info = redis.ask("INFO", "memory").decode()
    return int(next(l for l in info.splitlines() if l.startswith("used_memory:")).split(":")[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("executable")
    arguments = parser.parse_args()
    with Fleet(arguments.executable) as fleet:
        waking(fleet)
        replication(fleet, arguments.seconds)
        fan_out(fleet, arguments.seconds)
        limits(fleet)
        many(fleet, arguments.sessions)
