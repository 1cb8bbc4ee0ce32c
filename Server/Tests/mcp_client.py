"""Has the official client of the Model Context Protocol use the daemon:

    PYTHON Server/Tests/mcp_client.py [PROCESSD]

PYTHON has the package mcp of https://pypi.org, in the version that .ci/run installs. The client
speaks over HTTP and over stdio, in each era of the protocol: with a handshake, without one, and as
it finds out by itself. It holds each structured answer against the schema of its tool.
"""

import base64
import http.client
import json
import pathlib
import subprocess
import sys
import time

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Load"))
from daemon import TOKEN, Daemon

SERVER = pathlib.Path(__file__).resolve().parent.parent
HANDSHAKE, STATELESS = "2025-11-25", "2026-07-28"
# The mode of the client, and the revision that it then speaks with a server that knows both.
MODES = [("legacy", HANDSHAKE), ("auto", STATELESS), (STATELESS, STATELESS)]
TOOLS = [
    "exec_command", "read_output", "write_stdin", "wait_for", "send_signal", "terminate", "list"]
# Longer than anything here takes.
LONG = 60_000


async def call(client, tool, **arguments):
    """Calls a tool that succeeds, and returns its structured answer."""
    result = await client.call_tool(tool, arguments)
    text = "\n".join(part.text for part in result.content)
    assert not result.is_error, text
    return result.structured_content | {"seen": text}


async def refusal(client, tool, **arguments):
    """Calls a tool that fails, and returns what the model reads."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result
    return result.content[0].text


def output(answer):
    return "".join(part.get("text", "") for part in answer["parts"])


async def scenario(client, revision):
    """What an agent does; the same in each era and over each transport."""
    assert client.protocol_version == revision, client.protocol_version
    tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == TOOLS
    assert all(tool.description and tool.output_schema and tool.annotations for tool in tools)
    assert "exec_command" in (client.instructions or "exec_command")

    # A short command takes one call.
    short = await call(client, "exec_command", command="echo out; exit 3", wait_ms=LONG)
    assert (output(short), short["exit_code"]) == ("out\n", 3), short
    assert "exit_code: 3" in short["seen"] and "out\n" in short["seen"]

    # A dialogue with one that runs on.
    line = "while read x; do echo $((x * x)); done"
    session = await call(client, "exec_command", command=line, wait_ms=0)
    name = {"session_id": session["session_id"]}
    cursor = session["cursor"]
    for number in (7, 12):
        await call(client, "write_stdin", **name, text=f"{number}\n")
        square = f"{number * number}\n"
        found = await call(client, "wait_for", **name, text=square, since=cursor, wait_ms=LONG)
        assert found["wait_for"]["outcome"] == "matched", found
        assert output(found) == square, found
        cursor = found["cursor"]
    listed = await call(client, "list")
    assert listed["processes"][0]["session_id"] == session["session_id"], listed
    await call(client, "write_stdin", **name, eof=True)
    over = await call(client, "wait_for", **name, since=cursor, wait_ms=LONG)
    assert over["wait_for"]["outcome"] == "exited" and over["exit_code"] == 0, over

    # The budget: head, gap and tail, and the gap by its cursor.
    size = len("".join(f"{number}\n" for number in range(1, 10_001)))
    long = await call(client, "exec_command", command="seq 10000", wait_ms=LONG, max_bytes=1000)
    head, gap, tail = long["parts"]
    assert gap["kind"] == "left_out" and gap["bytes"] == long["left_out_bytes"], long
    assert head["bytes"] + gap["bytes"] + tail["bytes"] == size == long["end_offset"], long
    assert len(output(long)) <= 1000
    assert f"[{gap['bytes']} bytes left out here: " in long["seen"]
    name = {"session_id": long["session_id"]}
    rest = await call(
        client, "read_output", **name, since=gap["cursor"], part="head", max_bytes=65536)
    assert head["text"] + output(rest) == "".join(f"{number}\n" for number in range(1, 10_001))

    # Exact bytes, and what is no text.
    raw = await call(
        client, "exec_command", command=r"printf '\000\377'", wait_ms=LONG, format="exact")
    assert base64.b64decode(raw["parts"][0]["data_b64"]) == b"\x00\xff", raw

    # A signal.
    waiting = await call(client, "exec_command", command=["sleep", "1000"], wait_ms=0)
    name = {"session_id": waiting["session_id"]}
    await call(client, "send_signal", **name, signal="HUP")
    hung_up = await call(client, "wait_for", **name, wait_ms=LONG)
    assert hung_up["signal"] == "SIGHUP", hung_up

    # The end of one that would run on.
    sleeper = await call(client, "exec_command", command=["sleep", "1000"], wait_ms=0)
    name = {"session_id": sleeper["session_id"]}
    await call(client, "terminate", **name)
    ended = await call(client, "wait_for", **name, wait_ms=LONG)
    assert ended["signal"] == "SIGTERM", ended

    # What cannot be done is for the model to read, and what is no call is an error.
    assert "no session" in await refusal(client, "read_output", session_id="0")
    assert "has no argument" in await refusal(client, "exec_command", command="true", timeout=1)
    assert "/no/such" in await refusal(client, "exec_command", command=["/no/such"])
    try:
        await client.call_tool("rm", {})
        raise AssertionError("there is no such tool")
    except MCPError as error:
        assert error.code == -32602, error

    # A wait holds up no other call, and one that is given up ends.
    cat = await call(client, "exec_command", command=["cat"], wait_ms=0)
    name = {"session_id": cat["session_id"]}
    with anyio.move_on_after(0.2):
        await call(client, "wait_for", **name, text="never", wait_ms=LONG)
        raise AssertionError("what never came was there")
    async with anyio.create_task_group() as tasks:
        async def wait():
            found = await call(client, "wait_for", **name, text="x", wait_ms=LONG)
            assert found["wait_for"]["outcome"] == "matched", found

        tasks.start_soon(wait)
        await call(client, "list")
        await call(client, "write_stdin", **name, text="x")


async def over_http(daemon):
    url = f"http://127.0.0.1:{daemon.port}/mcp"
    for mode, revision in MODES:
        async with create_mcp_http_client({"Authorization": f"Bearer {TOKEN}"}) as http:
            async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
                await scenario(client, revision)
        # Closing the connection ends what waits on it, also where no cancellation is sent.
        assert daemon.settled(0, children=len(children(daemon))), "something still waits"
        assert daemon.metrics()["processd_waits"] == 0
        print(f"over HTTP, {mode}: {revision}")
    async with create_mcp_http_client({"Authorization": "Bearer wrong"}) as http:
        try:
            async with Client(streamable_http_client(url, http_client=http), mode="legacy"):
                raise AssertionError("a wrong token was taken")
        except* MCPError:
            pass
    # A page of another site that has the token is refused.
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": "https://evil.example"}
    async with create_mcp_http_client(headers) as http:
        body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        assert (await http.post(url, json=body)).status_code == 403


def children(daemon):
    """The sessions that still run, as the scenario leaves some."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    connection.request("GET", "/api/sdk/processes", headers=headers)
    processes = json.loads(connection.getresponse().read())["processes"]
    connection.close()
    return [process for process in processes if process["session_alive"]]


async def over_stdio(processd):
    for mode, revision in MODES:
        parameters = StdioServerParameters(
            command=processd, args=["--stdio", "--log-level", "error"])
        start = time.monotonic()
        async with Client(stdio_client(parameters), mode=mode) as client:
            await scenario(client, revision)
            pid = (await call(client, "exec_command", command="echo $PPID", wait_ms=LONG))
            pid = int(output(pid))
        assert not pathlib.Path(f"/proc/{pid}").exists(), "the daemon outlives its agent"
        print(f"over stdio, {mode}: {revision} ({time.monotonic() - start:.1f}s)")


def main():
    given = sys.argv[1] if len(sys.argv) > 1 else SERVER / ".build/debug/processd"
    processd = str(pathlib.Path(given).resolve())
    with Daemon(processd, "--sessions-per-workspace", "100") as daemon:
        anyio.run(over_http, daemon)
    anyio.run(over_stdio, processd)
    # And what a shell script does.
    message = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    result = subprocess.run(
        [processd, "--stdio"], input=message, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result
    assert [tool["name"] for tool in json.loads(result.stdout)["result"]["tools"]] == TOOLS
    print("the official client is served")


if __name__ == "__main__":
    main()
