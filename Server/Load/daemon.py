"""A processd of one's own, for a load on it."""

import base64
import http.client
import json
import os
import re
import resource
import signal
import subprocess
import tempfile
import time

TOKEN = "token-of-the-load-test"


class Daemon:
    """A processd that listens on a port of its own and ends with the `with` block."""

    def __init__(self, executable, *options, cwd=None, open_files=None):
        self.executable = executable
        self.options = options
        self.cwd = cwd
        self.open_files = open_files

    def __enter__(self):
        self._tokens = tempfile.NamedTemporaryFile("w", prefix="processd-")  # Made with mode 0600.
        self._tokens.write(f"{TOKEN} load\n")
        self._tokens.flush()
        self._process = subprocess.Popen(
            [self.executable, "--port", "0", "--tokens", self._tokens.name, "--log-level", "error"]
            + list(self.options),
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.cwd,
            preexec_fn=self._limit if self.open_files else None,
        )
        line = self._process.stdout.readline()
        self.port = int(re.search(r":(\d+)$", line).group(1))
        self.pid = self._process.pid
        # What it opens with its first process stays open, and is not to be taken for a leak.
        connection = connect(self.port)
        session = start(connection, "true")
        call(connection, "GET", f"/processes/{session}/output?wait_ms=60000")
        call(connection, "DELETE", f"/processes/{session}")
        connection.close()
        return self

    def _limit(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.open_files, self.open_files))

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(timeout=60)
        self._process.stdout.close()
        self._tokens.close()
        assert status == 0, f"processd ended with {status}"

    def replace_tokens(self, text):
        """Has other tokens in force."""
        self._tokens.seek(0)
        self._tokens.truncate()
        self._tokens.write(text)
        self._tokens.flush()
        self.reload()

    def reload(self):
        """Has the tokens read again."""
        self._process.send_signal(signal.SIGHUP)

    @property
    def is_running(self):
        return self._process.poll() is None

    def memory(self):
        """Resident memory of its own, in MiB: without that of files, such as the program's code."""
        with open(f"/proc/{self.pid}/status") as status:
            own = re.findall(r"Rss(?:Anon|Shmem):\s+(\d+) kB", status.read())
            return sum(map(int, own)) / 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def children(self):
        """How many children it has, zombies included."""
        count = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/children") as children:
                count += len(children.read().split())
        return count

    def metrics(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return {l.split()[0]: float(l.split()[1]) for l in lines if not l.startswith("#")}

    def settled(self, descriptors, children=0, seconds=20):
        """Waits until nothing but this asks, and there are no more children and descriptors than that (any
        number of descriptors, if 0); says whether."""
        for _ in range(seconds * 10):
            if (
                self.metrics()["processd_connections"] <= 1
                and (descriptors == 0 or self.descriptors() <= descriptors)
                and self.children() <= children
            ):
                return True
            time.sleep(0.1)
        return False


def connect(port):
    return http.client.HTTPConnection("127.0.0.1", port, timeout=120)


def call(connection, method, path, body=None, statuses=(200,)):
    """One request; returns the JSON of the answer."""
    data = None if body is None else json.dumps(body).encode()
    connection.request(method, "/api/sdk" + path, data, {"Authorization": f"Bearer {TOKEN}"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    assert response.status in statuses, (method, path, response.status, answer)
    return answer


def start(connection, command, stdin=False):
    """Starts a command, and returns its session's id."""
    answer = call(
        connection,
        "POST",
        "/envs/local/tool/call",
        {"tool": "exec_command", "arguments": {"command": command, "pipe_stdin": stdin}},
    )
    assert not answer["isError"], answer
    return answer["structuredContent"]["session_id"]


def size(chunk):
    """The bytes of a chunk's payload."""
    return len(base64.b64decode(chunk["data_b64"]))
