"""A fleet of one's own: a Redis, and processd that share it, on free ports of this machine."""

import socket
import subprocess
import tempfile
import time

from serving import Processd, free_port, until

LEASE = 1.5


class Redis:
    """A redis-server that keeps nothing on disk, unless told where to."""

    def __init__(self, *options):
        self.port = free_port()
        self.options = options
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [
                "redis-server",
                "--port",
                str(self.port),
                "--save",
                "",
                "--appendonly",
                "no",
                *self.options,
            ],
            stdout=subprocess.DEVNULL,
        )
        for _ in range(500):
            try:
                return self.ask("PING")
            except OSError:
                time.sleep(0.02)
        raise AssertionError("redis-server does not answer")

    def stop(self):
        self.process.kill()
        self.process.wait()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def ask(self, *words):
        """Sends one command, and returns its reply."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            file = connection.makefile("rb")
            connection.sendall(
                b"*%d\r\n" % len(words)
                + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words)
            )
            return self._reply(file)

    def _reply(self, file):
        line = file.readline().rstrip()
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._reply(file) for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        if kind == b"-":
            raise AssertionError(rest.decode())
        if not line:
            raise OSError("no reply")
        return rest


class Member(Processd):
    """A processd of a fleet."""

    def __init__(self, executable, redis, name, directory, *options):
        self.redis = redis
        super().__init__(executable, name, directory, *options)

    def arguments(self):
        url = f"http://127.0.0.1:{self.port}"
        fleet = ["--fleet", self.redis.url, "--advertise", url, "--fleet-lease", f"{LEASE}s"]
        return [*fleet, *self.options]

    def has_joined(self):
        return f"member of the fleet env={self.name}" in self.log.read_text()


class Fleet:
    """A Redis and some processd, which end with the `with` block."""

    def __init__(self, executable, count=3, *options):
        self.executable, self.count, self.options = executable, count, options

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="processd-fleet-")
        self.directory = self._directory.name
        self.redis = Redis()
        self.members = [
            Member(self.executable, self.redis, f"host-{letter}", self.directory, *self.options)
            for letter in "abcdefgh"[: self.count]
        ]
        until(lambda: all(member.has_joined() for member in self.members))
        return self

    def __exit__(self, kind, error, _):
        if error:
            for member in self.members:
                print(f"--- {member.name}\n{member.log.read_text()[-3000:]}", flush=True)
        for member in self.members:
            if member.process.poll() is None:
                member.kill() if error else member.end()
        self.redis.stop()
        self._directory.cleanup()
