"""Runs the commands of Server/README.md as they stand there, daemon and all: python3 Server/Tests/readme.py

Only what builds and runs is changed: it runs the executable given as argument, and processctl
beside it, instead of building them.
"""

import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
EXECUTABLE = sys.argv[1] if len(sys.argv) > 1 else "Server/.build/debug/processd"


def main():
    text = (ROOT / "Server/README.md").read_text()
    before, tried = text.split("## Try it")
    daemon_block = re.search(r"```sh daemon\n(.*?)```", before, re.S).group(1)
    tokens, run = daemon_block.strip().splitlines()
    assert run.startswith("swift run --package-path Server -c release processd "), run
    subprocess.run(tokens, shell=True, check=True, cwd=ROOT)
    options = run.split(" processd ")[1]
    daemon = subprocess.Popen(f"exec {EXECUTABLE} {options}", shell=True, cwd=ROOT)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen("http://127.0.0.1:8787/healthz").read()
                break
            except OSError:
                assert daemon.poll() is None, "the daemon has ended"
                time.sleep(0.05)
        blocks = re.findall(r"```sh\n(.*?)```", tried.split("## The API")[0], re.S)
        script = "set -euxo pipefail\n" + "\necho\n".join(blocks)
        built = "swift run --package-path Server -c release processctl"
        assert built in script
        script = script.replace(built, str(pathlib.Path(EXECUTABLE).with_name("processctl")))
        script = script.replace("swift run --package-path Server -c release processd", EXECUTABLE)
        result = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True)
        print(result.stdout)
        assert result.returncode == 0, result.stderr
        for expected in [
            '"data_b64":"NDkK"',  # 49
            '"wait_for":{"outcome":"matched","offset":0,"end_offset":3,"missed_bytes":0,',
            "event: chunk\ndata: ", "event: end",
            "event: exit\ndata: {\"exit_code\":0,\"signal\":null,\"timed_out\":false,",
            '"data_b64":"NTAgODANCg=="',  # 50 80
            '"exit_code":129,"session_alive":false', '"signal":"SIGHUP"', '{"processes":[{',
            '"output":"hello\\n","exit_code":3', "1\n2\n3\n",
            f"hello from {ROOT}\n", '"timed_out":false,"seconds":',
            "listening\nsquare: 144\nsquare: 144\n", "  exit 0 ", "999999\n1000000\n",
            " bytes left out here: read_output with since=", '"exit_code":3,"signal":null',
            '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"exec_command",',
        ]:
            assert expected in result.stdout, f"missing: {expected}"
        assert "oh\n" in result.stderr
        assert "\noh no\n" in result.stderr
        assert " chunks, 6888896 bytes, " in result.stderr
    finally:
        daemon.send_signal(signal.SIGTERM)
        status = daemon.wait()
    assert status == 0, f"the daemon ended with {status}"
    print("README: every command works as it stands there")


main()
