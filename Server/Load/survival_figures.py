"""What sessions that survive the daemon cost, beside those that do not:

    python3 Server/Load/survival_figures.py [--seconds 5] [PROCESSD]

Starts the daemon with and without --state-dir in turn, and prints the time to start a command, the
memory of a session, the daemon's CPU time beside floods that are polled, and the time to adopt 500
sessions.
"""

import argparse
import os
import pathlib
import statistics
import tempfile
import threading
import time

from serving import Processd

TICKS = os.sysconf("SC_CLK_TCK")
STARTS, FLOODS, POLLERS, ADOPTED = 200, 2, 4, 500


class Daemon:
    def __init__(self, executable, keeps):
        self.executable, self.keeps = executable, keeps

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="processd-figures-")
        self.state = pathlib.Path(self.directory.name) / "state"
        options = ["--state-dir", self.state] if self.keeps else []
        self.daemon = Processd(self.executable, "local", self.directory.name, *options)
        return self

    def __exit__(self, *_):
        for process in self.daemon.call("GET", "/processes")["processes"]:
            self.daemon.call("DELETE", f"/processes/{process['session_id']}")
        self.daemon.end()
        self.directory.cleanup()

    def holders(self):
        """The PIDs of the daemon's holders, which are its children."""
        tasks = pathlib.Path(f"/proc/{self.daemon.process.pid}/task")
        pids = [pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
        return [
            int(pid)
            for pid in pids
            if (pathlib.Path("/proc") / pid / "comm").read_text() == "processd-holder\n"
        ]


def cpu(pid):
    """The CPU time that a process has used, in seconds."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid, name):
    """A line of a process's memory, in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) << 10
    raise AssertionError(name)


def starts(daemon):
    """The median time of a start, in milliseconds."""
    times = []
    for _ in range(STARTS):
        begin = time.perf_counter()
        daemon.daemon.start_command(["sleep", "1000"])
        times.append((time.perf_counter() - begin) * 1000)
    return statistics.median(times)


def floods(daemon, seconds):
    """Polls floods; returns the daemon's CPU time, that of its holders, and the bytes captured and
    polled, each for a second."""
    daemon = daemon
    sessions = [daemon.daemon.start_command(["yes", "x" * 79]) for _ in range(FLOODS)]
    stop, polled = threading.Event(), [0] * POLLERS

    def poll(index):
        session, cursor = sessions[index % FLOODS], "0"
        while not stop.is_set():
            _, fields, text = daemon.daemon.request(
                "GET",
                f"/api/sdk/processes/{session}/output?since={cursor}&wait_ms=1000&format=raw"
                "&max_bytes=262144",
            )
            cursor = fields["Processd-Cursor"]
            polled[index] += len(text)
            time.sleep(0.02)

    threads = [threading.Thread(target=poll, args=[index]) for index in range(POLLERS)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    pids = daemon.holders()

    def state():
        total = sum(p["total_bytes"] for p in daemon.daemon.call("GET", "/processes")["processes"])
        return [
            time.monotonic(),
            cpu(daemon.daemon.process.pid),
            sum(map(cpu, pids)),
            total,
            sum(polled),
        ]

    before = state()
    time.sleep(seconds)
    after = state()
    stop.set()
    for thread in threads:
        thread.join()
    length = after[0] - before[0]
    return [(b - a) / length for a, b in zip(before[1:], after[1:])]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("processd", nargs="?", default="Server/.build/release/processd")
    options = parser.parse_args()
    found = {}
    for keeps in (False, True, False, True):
        with Daemon(options.processd, keeps) as daemon:
            start = starts(daemon)
            holders = daemon.holders()
            assert len(holders) == (STARTS if keeps else 0)
            own = statistics.median(memory(p, "Anonymous") for p in holders) if keeps else 0
        with Daemon(options.processd, keeps) as daemon:
            flood = floods(daemon, options.seconds)
        found.setdefault(keeps, []).append([start, own, *flood])
    for keeps, rounds in found.items():
        start, own, cpu, holder_cpu, captured, polled = map(statistics.mean, zip(*rounds))
        print(
            f"{'with' if keeps else 'without'} --state-dir: a start takes {start:.1f} ms;"
            f" beside {FLOODS} floods and {POLLERS} pollers the daemon uses {cpu:.2f} of a CPU"
            + (f", the holders {holder_cpu:.2f}" if keeps else "")
            + f"; {captured / 1e6:.0f} MB/s captured, {polled / 1e6:.0f} MB/s polled"
            + (
                f"; a holder has {own / (1 << 20):.1f} MiB of its own besides the ring"
                if keeps
                else ""
            )
        )
    with Daemon(options.processd, True) as daemon:
        for _ in range(ADOPTED):
            daemon.daemon.start_command(["sleep", "1000"])
        times = []
        for _ in range(5):
            daemon.daemon.kill()
            begin = time.monotonic()
            daemon.daemon.start()
            times.append(time.monotonic() - begin)
        print(
            f"{ADOPTED} sessions: the daemon listens {statistics.median(times):.2f} s after it was"
            " started again"
        )


if __name__ == "__main__":
    main()
