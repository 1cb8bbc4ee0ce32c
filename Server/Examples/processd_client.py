"""A client of processd, with nothing but Python's standard library.

    client = Client("http://127.0.0.1:8787", token)
    session = client.start("make -j4", cwd="/src")
    for chunk in session.follow():
        sys.stdout.buffer.write(chunk.data)
    print(session.exit_code)

Run as a program it does just that:

    PROCESSD_TOKEN=... python3 processd_client.py 'echo hello; exit 3'
"""

import base64
import dataclasses
import http.client
import json
import os
import sys
import time
import urllib.parse


class APIError(Exception):
    """What the server answered when something was wrong."""

    def __init__(self, status, code, message):
        super().__init__(f"{message} ({code}, {status})")
        self.status = status
        self.code = code


@dataclasses.dataclass(frozen=True)
class Chunk:
    stream: str
    data: bytes
    seq: int
    offset: int
    #: When it came, in milliseconds since 1970; None unless started with timestamps.
    time_ms: int | None = None


@dataclasses.dataclass(frozen=True)
class Gap:
    """Output that this reader asked for too late."""

    chunks: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class Wait:
    """How a wait for some bytes ended."""

    outcome: str  # matched, exited, closed or timed_out
    offset: int  # Where the match begins, in bytes of both streams; None without one.
    end_offset: int
    missed_bytes: int  # What was lost before it could be searched; None if not known.
    cursor: str  # Where another wait for the same bytes goes on.


@dataclasses.dataclass(frozen=True)
class Result:
    """What a command did that was run to its end."""

    stdout: bytes
    stderr: bytes
    exit_code: int
    signal: str
    timed_out: bool
    oom_killed: bool  # Whether it ran out of memory; None if the server cannot know.
    rusage: dict  # user_seconds, system_seconds, max_rss_bytes
    lost_bytes: int
    dropped_bytes: int
    background: "Session"  # What it left in the background, or None.


class Client:
    """One connection to a server, and one workspace. Not for several threads at once."""

    def __init__(self, url, token, environment="local", timeout=90):
        parts = urllib.parse.urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=timeout)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._environment = environment

    def close(self):
        self._connection.close()

    def request(self, method, path, body=None):
        """Sends a request, and returns the answer's JSON; raises APIError if it is one."""
        data = None if body is None else json.dumps(body).encode()
        try:
            self._connection.request(method, "/api/sdk" + path, data, self._headers)
            response = self._connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # A connection that lay idle may have been closed. Reading again does no harm.
            self._connection.close()
            if method != "GET":
                raise
            self._connection.request(method, "/api/sdk" + path, data, self._headers)
            response = self._connection.getresponse()
        answer = json.loads(response.read())
        if "error" in answer:
            error = answer["error"]
            raise APIError(response.status, error["code"], error["message"])
        return answer

    def bytes(self, path):
        """What a GET answers that is no JSON; raises APIError if it is an error."""
        self._connection.request("GET", "/api/sdk" + path, headers=self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != 200:
            error = json.loads(answer)["error"]
            raise APIError(response.status, error["code"], error["message"])
        return answer

    def start(self, command, **arguments):
        """Starts a command: a string for sh -c, or a list of words.

        Arguments are cwd, env, tty, rows, cols, pipe_stdin, merge_stderr, timeout_ms,
        timeout_signal, grace_ms, linger_ms, keep_alive, name, idempotency_key, head_bytes,
        timestamps, lossless_ms and the limits cpu_seconds, open_files, max_memory_bytes and
        max_processes, as the API has them. Raises OSError if the command cannot be started.

        With lossless_ms the command waits for this session's read and follow, so that they miss
        nothing: what one read returned counts as received with the next one.

        With a name or an idempotency_key, starting the same again gives the same session: is_repeated says so.
        """
        answer = self.request(
            "POST",
            f"/envs/{self._environment}/tool/call",
            {"tool": "exec_command", "arguments": {"command": command, **arguments}},
        )
        if answer["isError"]:
            raise OSError(answer["content"][0]["text"])
        result = answer["structuredContent"]
        return Session(
            self, result["session_id"], result.get("is_repeated", False),
            is_lossless="lossless_ms" in arguments)

    def shell(self, command, **arguments):
        """Runs a command to its end, and returns what it answered as a Result.

        Arguments are those of start and end_background; timeout_ms is 60,000 unless given.
        """
        answer = self.request(
            "POST",
            f"/envs/{self._environment}/tool/call",
            {"tool": "shell", "arguments": {"command": command, **arguments}},
        )
        if answer["isError"]:
            raise OSError(answer["content"][0]["text"])
        result = answer["structuredContent"]
        session = Session(self, result["session_id"]) if "session_id" in result else None
        return Result(
            base64.b64decode(result["stdout_b64"]), base64.b64decode(result["stderr_b64"]),
            result["exit_code"], result["signal"], result["timed_out"], result["oom_killed"],
            result["rusage"], result["lost_bytes"], result["dropped_bytes"], session)

    def sessions(self):
        """All sessions of this workspace, as the API describes them."""
        return self.request("GET", "/processes")["processes"]


class Session:
    """A process, and this reader's position in its output."""

    def __init__(self, client, session_id, is_repeated=False, is_lossless=False):
        self._client = client
        self._is_lossless = is_lossless
        self.is_repeated = is_repeated
        self._path = f"/processes/{session_id}"
        self._cursor = "0"
        self.id = session_id
        self.exit_code = None
        self.signal = None
        self.timed_out = False
        self.oom_killed = None
        self.rusage = None
        self.forgotten = False
        self.dropped_bytes = 0
        self.is_complete = False

    def read(self, wait=0):
        """What is new since the last read: a list of chunks, with a gap where some were missed.

        Waits for it for so many seconds if there is nothing. After the end, is_complete is true.
        """
        acknowledgement = "&acknowledge=1" if self._is_lossless else ""
        answer = self._client.request(
            "GET",
            f"{self._path}/output?since={self._cursor}&wait_ms={int(wait * 1000)}{acknowledgement}",
        )
        self._cursor = answer["cursor"]
        self.exit_code = answer["exit_code"]
        self.signal = answer["signal"]
        self.timed_out = answer["timed_out"]
        self.oom_killed = answer["oom_killed"]
        self.rusage = answer["rusage"]
        self.forgotten = answer["forgotten"]
        self.dropped_bytes = answer["dropped_bytes"]
        self.is_complete = answer["closed"] and not answer["has_more"]
        news = []
        for chunk in answer["chunks"]:
            data = base64.b64decode(chunk["data_b64"])
            news.append(
                Chunk(chunk["stream"], data, chunk["seq"], chunk["offset"], chunk.get("time_ms")))
        if answer["gap_index"] is not None:
            news.insert(answer["gap_index"], Gap(answer["missed_chunks"], answer["missed_bytes"]))
        return news

    def wait_for(self, data, timeout, since="0", stream=None):
        """Waits until the output after since contains some bytes, or the process has exited.

        Returns a Wait. Does not move the position of read. The timeout is in seconds. To wait for
        the next match, or to go on after a time-out, pass the last one's cursor as since.
        """
        deadline = time.monotonic() + timeout
        missed = 0
        while True:
            # The server ends a wait after a minute.
            left = min(max(0, deadline - time.monotonic()), 60)
            query = {"since": since, "wait_for": data, "wait_ms": int(left * 1000), "max_bytes": 1}
            if stream is not None:
                query["wait_for_stream"] = stream
            path = f"{self._path}/output?" + urllib.parse.urlencode(query)
            answer = self._client.request("GET", path)
            wait = answer["wait_for"]
            known = missed is not None and wait["missed_bytes"] is not None
            missed = missed + wait["missed_bytes"] if known else None
            if wait["outcome"] != "timed_out" or time.monotonic() >= deadline:
                return Wait(
                    wait["outcome"], wait["offset"], wait["end_offset"], missed, wait["cursor"])
            since = wait["cursor"]

    def tail(self, size):
        """The last bytes, both streams as they came: so many, or up to a chunk more. Does not move the position."""
        return self._client.bytes(f"{self._path}/output?format=raw&tail_bytes={size}")

    def follow(self):
        """All that comes from now on, chunk by chunk, to the end."""
        while not self.is_complete:
            yield from self.read(wait=30)

    def write(self, data, eof=False):
        """Writes bytes to the process's stdin, and then ends it if told."""
        body = {"data_b64": base64.b64encode(data).decode(), "eof": eof}
        self._client.request("POST", self._path + "/stdin", body)

    def terminate(self, grace_ms=None):
        self._client.request("POST", self._path + "/terminate", {"grace_ms": grace_ms})

    def send_signal(self, name):
        self._client.request("POST", self._path + "/signal", {"signal": name})

    def resize(self, rows, cols):
        self._client.request("POST", self._path + "/resize", {"rows": rows, "cols": cols})

    def delete(self):
        """Ends the process if it runs, and forgets its output."""
        self._client.request("DELETE", self._path)


def main():
    if len(sys.argv) < 2 or "PROCESSD_TOKEN" not in os.environ:
        sys.exit("usage: PROCESSD_TOKEN=... processd_client.py COMMAND...")
    client = Client(os.environ.get("PROCESSD_URL", "http://127.0.0.1:8787"), os.environ["PROCESSD_TOKEN"])
    words = sys.argv[1:]
    session = client.start(words[0] if len(words) == 1 else words, pipe_stdin=False)
    for news in session.follow():
        if isinstance(news, Gap):
            print(f"[missed {news.bytes} bytes]", file=sys.stderr)
        else:
            (sys.stdout if news.stream == "stdout" else sys.stderr).buffer.write(news.data)
    session.delete()
    sys.exit(session.exit_code)


if __name__ == "__main__":
    main()
