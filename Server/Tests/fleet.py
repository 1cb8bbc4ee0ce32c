"""Starts a Redis and three processd that share it, and sees that each of them answers for the
sessions of all, whatever becomes of the others and of Redis; then runs the commands of
Server/Fleet.md as they stand there:

    python3 Server/Tests/fleet.py PROCESSD
"""

import base64
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Load"))
from fleet import LEASE, Fleet, Member, Redis  # noqa: E402
from serving import TOKENS, data, until  # noqa: E402

# Lines of ten bytes: each byte of the output follows from its offset.
COUNT = "i=0; while :; do i=$((i+1)); printf '%09d\\n' $i; done"
FAST = "seq -f %09.0f 1 1000000000"


def fact(text):
    print("ok", text, flush=True)


def check(chunks):
    """Each byte of a counting command is what its offset says."""
    for chunk in chunks:
        bytes, offset = data(chunk), chunk["offset"]
        first, last = offset // 10, (offset + len(bytes) + 9) // 10
        expected = b"".join(b"%09d\n" % (i + 1) for i in range(first, last))
        assert bytes == expected[offset - first * 10 :][: len(bytes)], chunk["seq"]


def follow(
    members,
    session,
    stop=lambda answer: answer["closed"] and not answer["has_more"],
    check=lambda _: None,
):
    """Reads a session to its end, each time by any of the daemons; returns the bytes received and
    missed, and the last answer."""
    cursor, received, missed, last = "0", 0, 0, 0
    while True:
        answer = random.choice(members).output(session, cursor, wait_ms=1000, max_bytes=1 << 19)
        assert not answer["foreign_cursor"] and not answer["cursor_ahead"], answer["cursor"]
        missed += answer["missed_bytes"]
        for chunk in answer["chunks"]:
            assert chunk["seq"] > last, (chunk["seq"], last)
            last = chunk["seq"]
            received += len(data(chunk))
        check(answer["chunks"])
        assert int(answer["cursor"].split(".")[1]) == received + missed, (
            answer["cursor"],
            received,
            missed,
        )
        cursor = answer["cursor"]
        if stop(answer):
            return received, missed, answer


def events(member, session, headers={}, query="since=0"):
    """The events of a session to its end, by their names."""
    _, _, text = member.request(
        "GET", f"/api/sdk/processes/{session}/events?{query}", headers=headers
    )
    found = []
    for block in text.decode().split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != ":"
        )
        if "event" in fields:
            found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    return found


def routes(fleet):
    a, b, c = fleet.members
    names = [m.name for m in fleet.members]
    for member in fleet.members:
        listed = member.call("POST", "/envs/list", {})["envs"]
        assert sorted(e["name"] for e in listed) == names
        assert [e["name"] for e in listed if e["is_default"]] == [member.name]
    fact("each lists the environments of all")

    for caller in fleet.members:
        for env in names:
            session = caller.start_command("echo $0-out; echo err >&2; exit 7", env)
            for reader in fleet.members:
                received, missed, answer = follow([reader], session)
                assert (received, missed, answer["exit_code"]) == (11, 0, 7), answer
                assert reader.listed(session)["env"] == env
                assert answer["rusage"] and answer["session_alive"] is False
    fact("a command starts in the environment that is named, and each reads its output and exit")

    session = a.start_command("cat", pipe_stdin=True, timestamps=True)
    for index, member in enumerate(fleet.members):
        member.call(
            "POST",
            f"/processes/{session}/stdin",
            {"data_b64": base64.b64encode(b"line %d\n" % index).decode()},
        )
        answer = c.output(session, wait_ms=30_000, wait_for=f"line%20{index}")
        assert answer["wait_for"]["outcome"] == "matched", answer
    b.call("POST", f"/processes/{session}/stdin", {"eof": True})
    follow([c], session)
    local, remote = a.output(session), b.output(session)
    for name in set(local) - {"rusage"}:
        assert local[name] == remote[name], (name, local[name], remote[name])
    assert local["rusage"] == remote["rusage"] and "time_ms" in remote["chunks"][0]
    for query in ["format=raw", "format=text&plain=1", "tail_bytes=7", "from=now", "max_bytes=3"]:
        found = [m.request("GET", f"/api/sdk/processes/{session}/output?{query}") for m in (a, b)]
        assert found[0][2] == found[1][2], (query, found)
        fields = [{n: v for n, v in f[1].items() if n.startswith("Processd-")} for f in found]
        assert fields[0] == fields[1], query
    assert events(a, session) == events(b, session)
    assert [name for name, _, _ in events(c, session)] == ["chunk"] * 3 + ["exit", "end"]
    assert [e[1] for e in events(c, session, {"Last-Event-ID": "2"})][0] == "3"
    end = events(c, session)[-1][1]
    assert (
        b.request("GET", f"/api/sdk/processes/{session}/events", headers={"Last-Event-ID": end})[0]
        == 204
    )
    fact("stdin, waits, formats, tails, timestamps and events are the same by each of them")

    session = a.start_command("stty size; read x; stty size; cat", tty=True, rows=10, cols=20)
    assert b.output(session, wait_ms=30_000, wait_for="10%2020")["wait_for"]["outcome"] == "matched"
    b.call("POST", f"/processes/{session}/resize", {"rows": 33, "cols": 44})
    c.call("POST", f"/processes/{session}/stdin", {"data_b64": base64.b64encode(b"\n").decode()})
    assert b.output(session, wait_ms=30_000, wait_for="33%2044")["wait_for"]["outcome"] == "matched"
    b.call("POST", f"/processes/{session}/signal", {"signal": "SIGKILL"})
    assert follow([c], session)[2]["signal"] == "SIGKILL"
    until(
        lambda: b"process_ended"
        in b.request("POST", f"/api/sdk/processes/{session}/signal", {"signal": 15})[2]
    )
    session = a.start_command("sleep 1000")
    b.call("POST", f"/processes/{session}/terminate", {})
    assert follow([c], session)[2]["signal"] == "SIGTERM"
    fact("resizing, signals and termination reach the session's server, and its errors come back")

    answer = b.call(
        "POST",
        "/envs/host-c/tool/call",
        {"tool": "shell", "arguments": {"command": "echo hi; exit 4"}},
    )
    assert (
        answer["structuredContent"]["output"] == "hi\n"
        and answer["structuredContent"]["exit_code"] == 4
    )
    session = a.start_command("sleep 0.3; echo ready")
    answer = b.call(
        "POST",
        "/envs/host-c/tool/call",
        {"tool": "wait_for", "arguments": {"session_id": session, "text": "ready"}},
    )
    assert answer["structuredContent"]["wait_for"]["outcome"] == "matched"
    assert (
        b.call("POST", "/envs/host-x/tool/call", {"tool": "shell"}, status=404)["error"]["code"]
        == "env_not_found"
    )
    fact("the tools work in each environment, and on each session")

    session = c.start_command("sleep 1000")
    shells = [
        threading.Thread(
            target=lambda: b.call(
                "POST",
                "/envs/host-c/tool/call",
                {"tool": "shell", "arguments": {"command": "sleep 2"}},
            )
        )
        for _ in range(20)
    ]
    for shell in shells:
        shell.start()
    time.sleep(0.5)
    beginning = time.monotonic()
    b.call("POST", f"/processes/{session}/signal", {"signal": "SIGKILL"})
    assert time.monotonic() - beginning < 1
    for shell in shells:
        shell.join()
    fact("requests that wait at a server hold up no other requests to it")

    def tool(member, name, **arguments):
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": name, "arguments": arguments},
        }
        status, _, text = member.request(
            "POST",
            "/mcp",
            body,
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json, text/event-stream",
                "MCP-Protocol-Version": "2025-11-25",
            },
        )
        assert status == 200, text
        text = text.decode()
        if text.startswith(("event:", "data:", ":", "id:", "retry:")):
            text = [line[6:] for line in text.splitlines() if line.startswith("data: {")][-1]
        answer = json.loads(text)
        assert not answer["result"].get("isError"), (name, answer)
        return answer["result"]

    session = a.start_command("cat; exit 3", pipe_stdin=True)
    tool(b, "write_stdin", session_id=session, text="by MCP\n", eof=True)
    answer = tool(b, "wait_for", session_id=session, wait_ms=30_000)["structuredContent"]
    assert answer["wait_for"]["outcome"] == "exited" and answer["exit_code"] == 3, answer
    assert "by MCP" in json.dumps(tool(c, "read_output", session_id=session))
    assert session in json.dumps(tool(c, "list"))
    session = a.start_command("sleep 1000")
    tool(c, "terminate", session_id=session)
    assert (
        tool(b, "wait_for", session_id=session, wait_ms=30_000)["structuredContent"]["signal"]
        == "SIGTERM"
    )
    fact("the tools of MCP reach sessions of other servers")

    for member in fleet.members:
        error = member.call("GET", f"/processes/{session}/output", workspace="wb", status=403)[
            "error"
        ]
        assert error["code"] == "forbidden"
        member.call("POST", f"/processes/{session}/terminate", {}, workspace="wb", status=403)
        member.call("DELETE", f"/processes/{session}", workspace="wb", status=403)
        assert not member.call("GET", "/processes", workspace="wb")["processes"]
        member.call("GET", "/processes/0123456789abcdef/output", status=404)
        member.call("DELETE", "/processes/0123456789abcdef", status=404)
    fact(
        "a session of another workspace is out of reach by each,"
        " and one that never was is not found"
    )

    session = a.start_command("sleep 1000")
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(
            c.request("GET", f"/api/sdk/processes/{session}/output?wait_ms=60000")[0]
        )
    )
    waiting.start()
    until(lambda: fleet.redis.ask("PUBSUB", "NUMSUB", f"processd:news:{session}")[1] == 1)
    b.call("DELETE", f"/processes/{session}")
    waiting.join()
    assert answers == [404], answers
    for member in fleet.members:
        until(lambda: member.request("GET", f"/api/sdk/processes/{session}/output")[0] == 404)
        assert member.listed(session) is None
    fact("a deletion through another server ends the waits on each, and the session")


def accounts(fleet):
    a, b, c = fleet.members
    session = a.start_command(f"{COUNT} | head -c 300000")
    received, missed, answer = follow(fleet.members, session, check=check)
    assert (received, missed) == (300_000, 0), (received, missed)
    fact("a reader that changes servers at each read gets all output, once")

    total = 200_000_000
    session = a.start_command(f"{FAST} | head -c {total}")
    found = []
    threads = [
        threading.Thread(target=lambda m=m: found.append(follow(m, session, check=check)[:2]))
        for m in ([a], [b], [c], [a, b, c])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(received + missed == total for received, missed in found), found
    fact(f"of a flood, each of four readers received or missed each byte: {found}")
    stream, payload = (
        fleet.redis.ask("MEMORY", "USAGE", f"processd:stream:{session}", "SAMPLES", "0"),
        1 << 20,
    )
    state = fleet.redis.ask("MEMORY", "USAGE", f"processd:session:{session}")
    assert stream + state <= 1.35 * payload + 8192, (stream, state)
    fact(
        f"Redis holds {(stream + state) / payload:.2f} times the payload"
        " that a full session retains"
    )

    session = a.start_command(
        "for i in $(seq 500); do printf x; sleep 0.001; done;"
        " for i in $(seq 60); do head -c 65536 /dev/zero; sleep 0.03; done",
        head_bytes=4096,
    )
    follow([b], session)
    stream = fleet.redis.ask("MEMORY", "USAGE", f"processd:stream:{session}", "SAMPLES", "0")
    assert stream <= 1.5 * payload, stream
    fact("the same for a session that keeps many small chunks as its head")

    session = a.start_command(
        "printf x; sleep 0.2; head -c 3000000 /dev/zero | dd bs=3000000 iflag=fullblock 2>/dev/null"
    )
    received, missed, _ = follow([b], session)
    assert received + missed == 3_000_001
    fact("chunks larger than what is retained are counted as well")


def losses(fleet):
    a, b, c = fleet.members
    session = a.start_command(FAST)
    cursor = None
    for _ in range(20):
        answer = b.output(session, cursor or "0", wait_ms=1000)
        cursor = answer["cursor"]
    pid = a.listed(session)["pid"]
    a.kill()
    os.killpg(pid, signal.SIGKILL)
    answer = b.output(session)
    check(answer["chunks"])
    assert answer["chunks"] and not answer["closed"] and answer["exit_code"] is None
    until(lambda: (b.listed(session) or {}).get("unreachable"))
    error = b.call("POST", f"/processes/{session}/stdin", {"eof": True}, status=503)["error"]
    assert error["code"] == "host_unreachable", error
    received, missed, answer = follow([b, c], session, check=check)
    assert answer["closed"] and answer["host_lost"] and answer["exit_code"] is None, answer
    assert c.listed(session)["host_lost"] and c.listed(session)["closed"]
    assert (
        c.call("POST", f"/processes/{session}/signal", {"signal": 9}, status=409)["error"]["code"]
        == "host_lost"
    )
    url = ["--server", f"http://127.0.0.1:{c.port}"]
    tool, environment = pathlib.Path(fleet.executable).with_name("processctl"), {
        "PROCESSD_TOKEN": TOKENS["wa"]
    }
    for words in (["wait", *url, session], ["follow", *url, session]):
        ended = subprocess.run(
            [tool, *words], env=os.environ | environment, capture_output=True, timeout=60
        )
        assert ended.returncode == 69 and b"daemon is lost" in ended.stderr, (words, ended)
    listed = subprocess.run(
        [tool, "list", *url], env=os.environ | environment, capture_output=True, timeout=60
    )
    assert f"{session}  lost " in listed.stdout.decode(), listed
    ends = events(c, session)
    assert ends[-1][0] == "end" and ends[-1][2]["host_lost"], ends[-1]
    c.call("DELETE", f"/processes/{session}")
    assert c.listed(session) is None and b.listed(session) is None
    b.call("GET", f"/processes/{session}/output", status=404)
    fact(
        f"a server that is killed in a flood leaves a part without a fault"
        f" ({received} bytes, {missed} before it),"
        " and its session is closed as lost when its lease and grace are over"
    )
    a.start()
    until(lambda: a.log.read_text().count("member of the fleet") == 2)
    fact("a server that starts anew takes its name again")

    session = a.start_command("sleep 1000")
    until(lambda: b.listed(session))
    pid = a.listed(session)["pid"]
    a.process.send_signal(signal.SIGSTOP)
    until(lambda: (b.listed(session) or {}).get("host_lost"))
    a.process.send_signal(signal.SIGCONT)
    until(lambda: not os.path.exists(f"/proc/{pid}"))
    until(lambda: "another server has declared it lost" in a.log.read_text())
    a.call("GET", f"/processes/{session}/output", status=200)
    assert b.output(session)["host_lost"]
    fact("a server that comes back too late ends what was declared lost")


def engine(fleet):
    a, b, _ = fleet.members
    redis = fleet.redis
    ticking = "i=0; while :; do i=$((i+1)); printf '%09d\\n' $i; sleep 0.02; done"
    session = a.start_command(ticking)
    first = b.output(session, wait_ms=30_000)
    assert first["chunks"]
    silent = a.start_command("sleep 1000")
    redis.stop()
    answer = a.output(session, wait_ms=10_000, since=a.output(session)["cursor"])
    assert answer["chunks"] and not answer["missed_bytes"]
    until(lambda: b.request("GET", f"/api/sdk/processes/{session}/output")[0] == 503)
    error = b.call("GET", f"/processes/{session}/output", status=503)["error"]
    assert error["code"] == "fleet_unavailable", error
    assert b.call("GET", "/processes")["complete"] is False
    other = b.start_command("echo alone")
    assert follow([b], other)[0] == 6
    time.sleep(10)
    redis.start()
    found = [503]
    while found[-1] == 503:
        found.append(b.request("GET", f"/api/sdk/processes/{session}/output")[0])
        answer = b.call("GET", "/processes")
        assert not answer["complete"] or any(
            p["session_id"] == session for p in answer["processes"]
        )
    assert found[-1] == 200, found[-1]
    rest = b.output(session, first["cursor"], wait_ms=10_000)
    check(rest["chunks"])
    assert rest["missed_bytes"] == 0 and rest["chunks"][0]["seq"] == first["next_since"] + 1, rest[
        "missed_bytes"
    ]
    until(lambda: a.call("GET", "/processes")["complete"] and a.listed(other))
    assert b.listed(silent), "also of sessions that put nothing out"
    fact(
        "Redis down for ten seconds and restarted empty:"
        " commands and local readers go on, others are told 503,"
        " and then nothing is missing"
    )

    redis.ask("FLUSHALL")
    answers = []
    while not answers or answers[-1] != 200:
        answers.append(b.request("GET", f"/api/sdk/processes/{silent}/output")[0])
        listed = b.call("GET", "/processes")
        found = any(p["session_id"] == silent for p in listed["processes"])
        assert found or not listed["complete"], listed
    assert set(answers) <= {200, 503}, answers
    until(lambda: b.listed(session))
    fact("Redis is emptied: no living session is taken for gone")
    redis.ask("DEL", f"processd:session:{session}")
    until(lambda: b.request("GET", f"/api/sdk/processes/{session}/output")[0] == 200)
    taken = a.start_command(ticking)
    until(lambda: b.listed(taken))
    redis.ask("HSET", f"processd:session:{taken}", "lost", "1")
    until(lambda: not a.listed(taken) or not a.listed(taken)["session_alive"])
    redis.ask("DEL", f"processd:session:{taken}")
    until(lambda: b.listed(taken) is None and a.listed(taken) is None)
    fact("Redis forgets a session, or another server has declared it lost: the owner heeds it")

    redis.ask("CONFIG", "SET", "maxmemory", "1")
    flood = a.start_command(f"{FAST} | head -c 30000000")
    received, missed, answer = follow([a], flood)
    assert received + missed == 30_000_000
    until(lambda: "OOM" in a.log.read_text())
    assert b.output(session)["chunks"], "what is there can be read"
    ahead = a.output(session)["next_since"]
    answer = b.output(session, ahead)
    assert not answer["cursor_ahead"], "no client is sent back to what it has"
    assert all(chunk["seq"] > ahead for chunk in answer["chunks"])
    b.call("GET", f"/processes/{session}/events?since={ahead}", status=503)
    assert b.output(session, ahead + 10_000)["cursor_ahead"], "as its own server says"
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    until(lambda: b.request("GET", f"/api/sdk/processes/{flood}/output")[0] == 200)
    received, missed, answer = follow([b], flood, check=check)
    assert received + missed == 30_000_000 and received > 900_000, (received, missed)
    fact(
        "Redis without memory: nothing is held up;"
        f" then it has what the ring retains ({received} bytes)"
    )

    deleted = a.start_command("sleep 1000")
    until(lambda: b.listed(deleted))
    redis.process.send_signal(signal.SIGSTOP)
    paused = time.monotonic()
    while time.monotonic() < paused + 2 * LEASE + 1:
        b.request("GET", f"/api/sdk/processes/{flood}/output")
        answer = a.output(session, a.output(session)["cursor"], wait_ms=10_000)
        assert answer["chunks"]
    a.call("DELETE", f"/processes/{deleted}")
    redis.process.send_signal(signal.SIGCONT)
    until(lambda: b.request("GET", f"/api/sdk/processes/{session}/output")[0] == 200)
    follow([b], session, stop=lambda answer: len(answer["chunks"]) > 0, check=check)
    time.sleep(1)
    assert not any(
        p.get("host_lost") for m in (a, b) for p in m.call("GET", "/processes")["processes"]
    )
    assert "has declared it lost" not in a.log.read_text().split("OOM")[-1]
    fact(
        "Redis paused for longer than lease and grace:"
        " local readers go on, the others when it does; nothing is lost"
    )
    for member in fleet.members:
        until(lambda: member.request("GET", f"/api/sdk/processes/{deleted}/output")[0] == 404)
        assert member.listed(deleted) is None
    fact("a session that is deleted meanwhile is forgotten by all")

    with_policy = Redis("--maxmemory-policy", "allkeys-lru")
    member = Member(fleet.executable, with_policy, "host-x", fleet.directory)
    until(lambda: "set it to noeviction" in member.log.read_text())
    member.call("GET", "/processes/0123456789abcdef/output", status=503)
    assert not member.has_joined()
    member.end()
    with_policy.stop()
    fact("a Redis that evicts keys is refused, with a message")

    twin = Member(fleet.executable, redis, "host-a", fleet.directory)
    twin_log = fleet.members[0].log
    until(lambda: "another processd of the fleet is called host-a" in twin_log.read_text())
    session_of_twin = twin.start_command(COUNT + " | head -c 1000; exec sleep 1000")
    time.sleep(2 * LEASE + 1)
    follow([b], session_of_twin, stop=lambda answer: answer["cursor"].split(".")[1] == "1000")
    assert twin.listed(session_of_twin)["session_alive"]
    assert b.listed(session_of_twin)["unreachable"] and not b.listed(session_of_twin)["closed"]
    twin.end()
    assert len(b.call("POST", "/envs/list", {})["envs"]) == 3
    fact(
        "a second server of the same name is told so, does not take the name,"
        " and keeps its sessions"
    )

    a.end()
    names = [e["name"] for e in b.call("POST", "/envs/list", {})["envs"]]
    assert names == ["host-b", "host-c"], names
    received, missed, answer = follow([b], session, check=check)
    assert answer["exit_code"] == 143 and not missed and "host_lost" not in answer, answer[
        "exit_code"
    ]
    fact(
        "a server that ends in order leaves at once,"
        " and its sessions' output and exits can still be read"
    )


def documentation(executable):
    root = pathlib.Path(__file__).resolve().parent.parent.parent
    blocks = re.findall(r"```sh\n(.*?)```", (root / "Server/Fleet.md").read_text(), re.S)
    script = "set -euo pipefail\n" + "\necho\n".join(blocks)
    assert script.count("Server/.build/release/processd") == 1
    script = script.replace(
        "Server/.build/release/processd", str(pathlib.Path(executable).resolve())
    )
    run = subprocess.run(["bash", "-c", script], cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, (run.returncode, run.stdout[-3000:], run.stderr[-3000:])
    for expected, count in [
        ("hello from host-1\n", 5),
        ('"ok":true', 1),
        ("again\n", 1),
        ('"env":"host-1"', 1),
        ('"complete":true', 1),
        ('"host_lost":true', 1),
    ]:
        assert run.stdout.count(expected) >= count, (expected, run.stdout)
    fact("the commands of Server/Fleet.md work as they stand there")


if __name__ == "__main__":
    with Fleet(sys.argv[1]) as fleet:
        routes(fleet)
        accounts(fleet)
        losses(fleet)
        engine(fleet)
    documentation(sys.argv[1])
    print("a fleet of three: all as it should be")
