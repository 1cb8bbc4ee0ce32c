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


@dataclasses.dataclass(frozen=True)
class Gap:
    """Output that this reader asked for too late."""

    chunks: int
    bytes: int


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

    def start(self, command, **arguments):
        """Starts a command: a string for sh -c, or a list of words.

        Arguments are cwd, env, tty, rows, cols and pipe_stdin, as the API has them. Raises OSError if
        the command cannot be started.
        """
        answer = self.request(
            "POST",
            f"/envs/{self._environment}/tool/call",
            {"tool": "exec_command", "arguments": {"command": command, **arguments}},
        )
        if answer["isError"]:
            raise OSError(answer["content"][0]["text"])
        return Session(self, answer["structuredContent"]["session_id"])

    def sessions(self):
        """All sessions of this workspace, as the API describes them."""
        return self.request("GET", "/processes")["processes"]


class Session:
    """A process, and this reader's position in its output."""

    def __init__(self, client, session_id):
        self._client = client
        self._path = f"/processes/{session_id}"
        self._cursor = "0"
        self.id = session_id
        self.exit_code = None
        self.signal = None
        self.is_complete = False

    def read(self, wait=0):
        """What is new since the last read: a list of chunks, with a gap in front if some were missed.

        Waits for it for so many seconds if there is nothing. After the end, is_complete is true.
        """
        answer = self._client.request(
            "GET", f"{self._path}/output?since={self._cursor}&wait_ms={int(wait * 1000)}"
        )
        self._cursor = answer["cursor"]
        self.exit_code = answer["exit_code"]
        self.signal = answer["signal"]
        self.is_complete = answer["closed"] and not answer["has_more"]
        news = []
        if answer["missed_bytes"]:
            news.append(Gap(answer["missed_chunks"], answer["missed_bytes"]))
        for chunk in answer["chunks"]:
            data = base64.b64decode(chunk["data_b64"])
            news.append(Chunk(chunk["stream"], data, chunk["seq"], chunk["offset"]))
        return news

    def follow(self):
        """All that comes from now on, chunk by chunk, to the end."""
        while not self.is_complete:
            yield from self.read(wait=30)

    def write(self, data, eof=False):
        """Writes bytes to the process's stdin, and then ends it if told."""
        body = {"data_b64": base64.b64encode(data).decode(), "eof": eof}
        self._client.request("POST", self._path + "/stdin", body)

    def terminate(self):
        self._client.request("POST", self._path + "/terminate", {})

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
