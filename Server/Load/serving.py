"""A processd of one's own, on a free port of this machine, with what tests ask of it."""

import base64
import http.client
import json
import pathlib
import random
import signal
import socket
import subprocess
import time

TOKENS = {"wa": "token-of-workspace-a", "wb": "token-of-workspace-b"}


def free_port():
    """A port that nothing listens on, of those that the system gives to no client."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Processd:
    """A processd, which can be started again."""

    def __init__(self, executable, name, directory, *options):
        self.name, self.executable, self.options = name, executable, options
        self.directory = pathlib.Path(directory)
        self.port = free_port()
        self.log = self.directory / f"{name}.log"
        self.start()

    def arguments(self):
        return self.options

    def start(self):
        tokens = self.directory / "tokens"
        if not tokens.exists():
            tokens.touch(0o600)
            tokens.write_text("".join(f"{token} {name}\n" for name, token in TOKENS.items()))
        self.process = subprocess.Popen(
            [
                self.executable,
                "--port",
                str(self.port),
                "--tokens",
                tokens,
                "--env-name",
                self.name,
                "--sessions-per-workspace",
                "5000",
                *self.arguments(),
            ],
            stdout=subprocess.DEVNULL,
            stderr=self.log.open("ab"),
        )
        for _ in range(1000):
            try:
                with socket.create_connection(("127.0.0.1", self.port)):
                    return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"{self.name} does not listen: {self.log.read_text()}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=60)
        assert status == 0, f"{self.name} ended with {status}: {self.log.read_text()[-2000:]}"

    def request(self, method, path, body=None, workspace="wa", headers={}, timeout=60):
        """One request: its status, its fields and its body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        data = None if body is None else json.dumps(body).encode()
        connection.request(
            method, path, data, {"Authorization": f"Bearer {TOKENS[workspace]}", **headers}
        )
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, answer.headers, text

    def call(self, method, path, body=None, status=200, **more):
        """One request of the API: the JSON of its answer."""
        found, _, text = self.request(method, "/api/sdk" + path, body, **more)
        assert found == status, (self.name, method, path, found, text[:500])
        return json.loads(text)

    def start_command(self, command, env=None, workspace="wa", **arguments):
        """Starts a command in an environment, this one's unless told; returns its session's id."""
        answer = self.call(
            "POST",
            f"/envs/{env or self.name}/tool/call",
            {"tool": "exec_command", "arguments": {"command": command, **arguments}},
            workspace=workspace,
        )
        assert not answer["isError"], answer
        return answer["structuredContent"]["session_id"]

    def output(self, session, since="0", **query):
        query = "".join(f"&{name}={value}" for name, value in query.items())
        return self.call("GET", f"/processes/{session}/output?since={since}{query}")

    def listed(self, session):
        """What the list of sessions says of one."""
        return next(
            (p for p in self.call("GET", "/processes")["processes"] if p["session_id"] == session),
            None,
        )


def until(condition, seconds=60):
    """Waits until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def data(chunk):
    return base64.b64decode(chunk["data_b64"])
