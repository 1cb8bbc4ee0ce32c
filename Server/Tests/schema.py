"""Generates requests from the daemon's own description, and holds each answer against it:

    python3 Server/Tests/schema.py SCHEMATHESIS [PROCESSD]

SCHEMATHESIS is the executable of https://schemathesis.io, version 4.
"""

import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Load"))
from daemon import TOKEN, Daemon, call, connect, start

SERVER = pathlib.Path(__file__).resolve().parent.parent

CONFIGURATION = """
[parameters]
"path.sid" = "SESSION"
"path.name" = "local"

[[operations]]
include-method = "DELETE"
parameters = { "path.sid" = "0123" }
"""


def main():
    processd = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else SERVER / ".build/debug/processd").resolve()
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method"
    # What the commands write that are made up stays here.
    with tempfile.TemporaryDirectory() as directory:
        options = ["--sessions-per-workspace", "10000"]
        with Daemon(str(processd), *options, cwd=directory) as daemon:
            connection = connect(daemon.port)
            # One that has ended, so that no request waits for it.
            session = start(connection, "echo out; echo err >&2; exit 3")
            call(connection, "GET", f"/processes/{session}/output?since=1&wait_ms=60000")
            connection.close()
            (pathlib.Path(directory) / "schemathesis.toml").write_text(CONFIGURATION.replace("SESSION", session))
            result = subprocess.run(
                [
                    str(pathlib.Path(sys.argv[1]).absolute()), "run", f"http://127.0.0.1:{daemon.port}/openapi.json",
                    "--header", f"Authorization: Bearer {TOKEN}", "--checks", checks, "--phases", "coverage,fuzzing",
                    "--max-examples", "50", "--seed", "1", "--request-timeout", "60", "--no-color",
                ],
                cwd=directory,
            )
            assert daemon.is_running, "the daemon has ended"
            assert result.returncode == 0, "an answer is none that the description has"


if __name__ == "__main__":
    sys.exit(main())
