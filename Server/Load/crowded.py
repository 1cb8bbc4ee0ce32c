"""Has clients open more connections than processd may have files open, while commands are started:

    python3 Server/Load/crowded.py [PROCESSD]

Fails if the daemon ends, if it does not serve a client that it knows, or if it starts no command
when the crowd has gone.
"""

import argparse
import os
import pathlib
import resource
import socket
import sys
import threading
import time

from daemon import TOKEN, Daemon, call, connect, start

SERVER = pathlib.Path(__file__).resolve().parent.parent
PLAIN = "GET /api/sdk/processes HTTP/1.1\r\nHost: localhost\r\n"
KNOWN = f"{PLAIN}Authorization: Bearer {TOKEN}\r\n"


def read(connection, session):
    """Keeps a thread of the daemon busy for a while."""
    end = time.monotonic() + 3
    while time.monotonic() < end:
        call(connection, "GET", f"/processes/{session}/output?since=0", statuses=(200, 503))


def try_to_start(connection):
    body = {"tool": "exec_command", "arguments": {"command": "sleep 1000"}}
    answer = call(connection, "POST", "/envs/local/tool/call", body, statuses=(200, 503))
    return "structuredContent" in answer


def fill(connections):
    """Starts commands on several connections at once, until that is refused."""

    def start_all(connection):
        while try_to_start(connection):
            pass

    threads = [threading.Thread(target=start_all, args=(c,)) for c in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def crowd(daemon, connection, others, flood, count, hello):
    """Opens connections, as many as are let in, and asks for a command behind each."""
    clients, started = [], 0
    for _ in range(count):
        client = socket.socket()
        client.settimeout(10)
        try:
            client.connect(("127.0.0.1", daemon.port))
            client.send(hello.encode())
            clients.append(client)
        except OSError:
            client.close()
        started += try_to_start(connection)
        assert daemon.is_running
    # The daemon's runtime looks at its busy threads each second, and needs a file for that.
    readers = [threading.Thread(target=read, args=(other, flood)) for other in others]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert daemon.is_running
    for client in clients:
        client.close()
    return started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("processd", nargs="?", default=str(SERVER / ".build/release/processd"))
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    options = ["--sessions-per-workspace", "5000", "--connections-per-workspace", "1000"]
    least = 128 + 4 * os.cpu_count()
    for limit in (least, least + 128):
        with Daemon(arguments.processd, *options, open_files=limit) as daemon:
            connection = connect(daemon.port)
            others = [connect(daemon.port) for _ in range(4)]
            for name, hello in (("strangers", PLAIN), ("clients", KNOWN + "\r\n")):
                flood = start(connection, ["cat", "/dev/zero"])
                for other in others:
                    call(other, "GET", "/processes")
                started = crowd(daemon, connection, others, flood, limit + 100, hello)
                fill([connection, *others])
                for known in [connection, *others]:
                    known.close()
                # Over a new connection.
                sessions = call(connection, "GET", "/processes")["processes"]
                for session in sessions:
                    call(connection, "DELETE", f"/processes/{session['session_id']}")
                connection.close()
                assert daemon.settled(0), "commands or connections are left"
                call(connection, "DELETE", f"/processes/{start(connection, 'true')}")
                print(
                    f"{limit} files, {limit + 100} {name}: {started} commands started meanwhile,"
                    " the others refused",
                    flush=True,
                )


if __name__ == "__main__":
    sys.exit(main())
