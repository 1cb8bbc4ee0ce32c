"""Tests the client against the real daemon: python3 Server/Examples/test_client.py [PROCESSD]

PROCESSD is the daemon's executable; .build/debug/processd of Server unless told.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

from processd_client import APIError, Client, Gap

SERVER = pathlib.Path(__file__).resolve().parent.parent
PROCESSD = str(SERVER / ".build/debug/processd")


class ClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tokens = tempfile.NamedTemporaryFile("w", prefix="processd-")  # Made with mode 0600.
        cls.tokens.write("first-token one\nsecond-token two\n")
        cls.tokens.flush()
        cls.daemon = subprocess.Popen(
            [PROCESSD, "--port", "0", "--tokens", cls.tokens.name, "--log-level", "error"],
            stdout=subprocess.PIPE,
            text=True,
        )
        line = cls.daemon.stdout.readline()
        cls.url = re.search(r"http://\S+", line).group()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.send_signal(signal.SIGTERM)
        assert cls.daemon.wait() == 0, "the daemon did not end well"
        cls.daemon.stdout.close()
        cls.tokens.close()

    def setUp(self):
        self.client = Client(self.url, "first-token")
        self.addCleanup(self.client.close)

    def tearDown(self):
        for session in self.client.sessions():
            self.client.request("DELETE", "/processes/" + session["session_id"])

    def test_a_whole_life(self):
        """Start, write stdin, read incrementally, terminate, see the exit."""
        session = self.client.start("while read line; do echo got $line; done; sleep 1000")
        self.assertEqual(session.read(), [])
        for word in (b"one", b"two", b"three"):
            session.write(word + b"\n")
            text = b""
            while not text.endswith(b"\n"):
                text += b"".join(chunk.data for chunk in session.read(wait=60))
            self.assertEqual(text, b"got " + word + b"\n")
        session.write(b"", eof=True)
        self.assertIsNone(session.exit_code)
        session.terminate()
        self.assertEqual(list(session.follow()), [])
        self.assertEqual((session.exit_code, session.signal), (143, "SIGTERM"))
        with self.assertRaises(APIError) as late:
            session.write(b"late")
        self.assertEqual((late.exception.status, late.exception.code), (409, "process_ended"))

    def test_streams_and_exit_code(self):
        session = self.client.start("echo out; sleep 0.1; echo err >&2; exit 3")
        chunks = list(session.follow())
        self.assertEqual([(c.stream, c.data) for c in chunks], [("stdout", b"out\n"), ("stderr", b"err\n")])
        self.assertEqual([c.offset for c in chunks], [0, 4])
        self.assertEqual(session.exit_code, 3)

    def test_every_byte_counts(self):
        """A reader that is too slow is told how much it missed, to the byte."""
        session = self.client.start("head -c 20000000 /dev/zero", pipe_stdin=False)
        received = missed = 0
        for news in session.follow():
            if isinstance(news, Gap):
                missed += news.bytes
            else:
                self.assertEqual(news.offset, received + missed)
                received += len(news.data)
        self.assertEqual(received + missed, 20_000_000)

    def test_the_beginning_is_kept(self):
        session = self.client.start(
            "echo first; head -c 5000000 /dev/zero; echo last", head_bytes=100, pipe_stdin=False)
        self.assertEqual(session.wait_for(b"last\n", timeout=60).outcome, "matched")
        news = session.read()
        while not session.is_complete:
            news += session.read(wait=60)
        kinds = [isinstance(piece, Gap) for piece in news]
        gap = kinds.index(True)
        self.assertEqual(kinds.count(True), 1)
        head = b"".join(chunk.data for chunk in news[:gap])
        self.assertEqual(head, b"first\n" + bytes(94))
        self.assertEqual(news[gap + 1].offset, 100 + news[gap].bytes)
        self.assertEqual([s["head_bytes"] for s in self.client.sessions()], [100])
        with self.assertRaises(APIError) as large:
            self.client.start("true", head_bytes=1 << 30)
        self.assertEqual((large.exception.status, large.exception.code), (400, "bad_request"))

    def test_wait_for(self):
        session = self.client.start(
            "printf lis; read x; printf 'ten\\377'; printf 'a b' >&2; read x; exit 3")
        early = session.wait_for(b"listen", timeout=0.1)
        self.assertEqual((early.outcome, early.offset), ("timed_out", None))
        session.write(b"\n")
        ready = session.wait_for(b"listen\xff", timeout=60, since=early.cursor)
        self.assertEqual((ready.outcome, ready.offset, ready.missed_bytes), ("matched", 0, 0))
        error = session.wait_for(b"a b", timeout=60, stream="stderr")
        self.assertEqual((error.outcome, error.end_offset - error.offset), ("matched", 3))
        session.write(b"\n")
        end = session.wait_for(b"never", timeout=60)
        self.assertEqual(end.outcome, "exited")
        self.assertEqual(session.wait_for(b"never", timeout=60, since=end.cursor).outcome, "closed")
        with self.assertRaises(APIError) as empty:
            session.wait_for(b"", timeout=0)
        self.assertEqual((empty.exception.status, empty.exception.code), (400, "bad_request"))
        output = b"".join(c.data for c in session.follow() if c.stream == "stdout")
        self.assertEqual(output, b"listen\xff")

    def test_shell(self):
        result = self.client.shell("printf 'a\\377'; printf b >&2; exit 3")
        self.assertEqual((result.stdout, result.stderr, result.exit_code), (b"a\xff", b"b", 3))
        self.assertEqual((result.signal, result.timed_out, result.dropped_bytes), (None, False, 0))
        self.assertIsNone(result.oom_killed)
        self.assertGreater(result.rusage["max_rss_bytes"], 1 << 16)
        self.assertIsNone(result.background)
        late = self.client.shell("sleep 1000", timeout_ms=200)
        self.assertEqual((late.timed_out, late.signal), (True, "SIGTERM"))
        left = self.client.shell("sleep 1000 & echo left")
        self.assertEqual(left.stdout, b"left\n")
        left.background.delete()

    def test_the_same_again(self):
        """A start whose answer was lost can be asked for again."""
        session = self.client.start("cat", idempotency_key="one", name="a cat")
        again = self.client.start("cat", idempotency_key="one", name="a cat")
        self.assertEqual((session.id, session.is_repeated), (again.id, False))
        self.assertTrue(again.is_repeated)
        self.assertEqual([s["name"] for s in self.client.sessions()], ["a cat"])
        with self.assertRaises(APIError) as other:
            self.client.start("true", idempotency_key="one")
        self.assertEqual((other.exception.status, other.exception.code), (409, "label_taken"))

    def test_timeout(self):
        session = self.client.start("echo x; sleep 1000", timeout_ms=300)
        self.assertEqual([c.data for c in session.follow()], [b"x\n"])
        self.assertEqual((session.timed_out, session.signal), (True, "SIGTERM"))

    def test_how_a_command_is_ended(self):
        late = self.client.start("exec sleep 1000", timeout_ms=50, timeout_signal="HUP")
        list(late.follow())
        self.assertEqual((late.timed_out, late.signal), (True, "SIGHUP"))
        stubborn = self.client.start("trap '' TERM; echo ready; while :; do sleep 0.01; done")
        self.assertEqual(stubborn.wait_for(b"ready", timeout=60).outcome, "matched")
        stubborn.terminate(grace_ms=0)
        list(stubborn.follow())
        self.assertEqual(stubborn.signal, "SIGKILL")

    def test_one_stream(self):
        session = self.client.start("echo a; echo b >&2; echo c", merge_stderr=True)
        self.assertEqual(b"".join(chunk.data for chunk in session.follow()), b"a\nb\nc\n")

    def test_a_lossless_reader(self):
        session = self.client.start(
            "head -c 20000000 /dev/zero", pipe_stdin=False, lossless_ms=600_000)
        received = 0
        for news in session.follow():
            self.assertFalse(isinstance(news, Gap))
            received += len(news.data)
        self.assertEqual(received, 20_000_000)
        other = self.client.start("true")
        with self.assertRaises(APIError) as refused:
            self.client.request("GET", f"/processes/{other.id}/output?since=0&acknowledge=1")
        self.assertEqual((refused.exception.status, refused.exception.code), (409, "not_lossless"))

    def test_usage(self):
        """What a process has used is known at its end."""
        session = self.client.start(
            "read line; i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done")
        session.read()
        self.assertIsNone(session.rusage)
        session.write(b"go\n")
        self.assertEqual(list(session.follow()), [])
        self.assertGreater(session.rusage["user_seconds"], 0.01)
        self.assertGreaterEqual(session.rusage["system_seconds"], 0)
        self.assertFalse(session.forgotten)

    def test_limits_need_control_groups(self):
        for limit in ("max_memory_bytes", "max_processes"):
            with self.assertRaises(APIError) as refused:
                self.client.start("true", **{limit: 1 << 30})
            self.assertEqual(refused.exception.status, 400)
            self.assertEqual(refused.exception.code, "limits_unavailable")

    def test_tail(self):
        session = self.client.start("for i in 1 2 3; do echo $i; sleep 0.1; done")
        self.assertEqual(b"".join(c.data for c in session.follow()), b"1\n2\n3\n")
        self.assertEqual(session.tail(1), b"3\n")
        self.assertEqual(session.tail(3), b"2\n3\n")

    def test_terminal(self):
        session = self.client.start(["stty", "size"], tty=True, rows=12, cols=34)
        self.assertEqual(b"".join(c.data for c in session.follow()), b"12 34\r\n")

    def test_errors(self):
        with self.assertRaises(OSError) as missing:
            self.client.start(["no-such-command"])
        self.assertIn("no-such-command: command not found", str(missing.exception))
        session = self.client.start("cat")
        other = Client(self.url, "second-token")
        self.addCleanup(other.close)
        wrong = Client(self.url, "wrong")
        self.addCleanup(wrong.close)
        for client, path, status, code in [
            (other, f"/processes/{session.id}/output", 403, "forbidden"),
            (self.client, "/processes/0123/output", 404, "session_not_found"),
            (self.client, f"/processes/{session.id}/output?since=x", 400, "bad_request"),
            (wrong, "/processes", 401, "unauthorized"),
        ]:
            with self.assertRaises(APIError) as error:
                client.request("GET", path)
            self.assertEqual((error.exception.status, error.exception.code), (status, code))
        session.delete()
        with self.assertRaises(APIError) as gone:
            session.read()
        self.assertEqual(gone.exception.status, 404)

    def test_as_a_program(self):
        result = subprocess.run(
            [sys.executable, str(SERVER / "Examples/processd_client.py"), "echo hello; exit 4"],
            env={**os.environ, "PROCESSD_URL": self.url, "PROCESSD_TOKEN": "first-token"},
            capture_output=True,
        )
        self.assertEqual((result.stdout, result.returncode), (b"hello\n", 4))


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        PROCESSD = sys.argv.pop(1)
    unittest.main()
