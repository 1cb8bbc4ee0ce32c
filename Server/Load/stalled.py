"""Has 300 clients ask processd for much and read nothing, and 300 send bodies that do not end:

    python3 Server/Load/stalled.py [PROCESSD]

Fails if that takes more than 400 MiB, if a client that reads is not served meanwhile, or if more
than a tenth of the memory that it took does not come back.
"""

import argparse
import pathlib
import socket
import sys
import time

from daemon import TOKEN, Daemon, call, connect, start

SERVER = pathlib.Path(__file__).resolve().parent.parent
CLIENTS = 300
LIMIT = 400  # MiB


def ask(port, request):
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect(("127.0.0.1", port))
    head = f"{request}\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    reader.setblocking(False)
    return reader, head.encode()


def send(reader, data):
    """Sends what goes."""
    try:
        reader.send(data)
    except OSError:
        pass


def watch(daemon, connection, session, seconds):
    """The most memory that was seen, while a client that reads is served."""
    most, served, refused = 0, 0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        most = max(most, daemon.memory())
        try:
            call(connection, "GET", f"/processes/{session}/output?since=0&max_bytes=1000")
            served += 1
        except AssertionError as error:
            assert error.args[0][2] == 503, error
            refused += 1
        time.sleep(0.05)
    assert served > 0, "a client that reads was not served"
    return most, served, refused


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("processd", nargs="?", default=str(SERVER / ".build/release/processd"))
    arguments = parser.parse_args()
    options = ["--sessions-per-workspace", "100", "--connections-per-workspace", "1000"]
    with Daemon(arguments.processd, *options) as daemon:
        connection = connect(daemon.port)
        small = start(connection, "while :; do echo x; sleep 0.0001; done | head -c 900000; exec sleep 1000")
        flood = start(connection, ["cat", "/dev/zero"])
        # The first round is for the allocator.
        for _ in range(20):
            call(connection, "GET", f"/processes/{flood}/output?since=0")
        before = daemon.memory()
        print(f"{CLIENTS} clients each; {before:.0f} MiB before")
        peak = before
        for name, requests in [
            ("readers of events that stall", [f"GET /api/sdk/processes/{s}/events HTTP/1.1" for s in (flood, small)]),
            ("readers of output that stall", [f"GET /api/sdk/processes/{s}/output HTTP/1.1" for s in (flood, small)]),
            ("bodies that do not end", ["POST /api/sdk/envs/list HTTP/1.1"]),
        ]:
            clients = []
            for index in range(CLIENTS):
                reader, head = ask(daemon.port, requests[index % len(requests)])
                if requests[0].startswith("POST"):
                    send(reader, head + b"Content-Length: 2000000\r\n\r\n")
                else:
                    send(reader, (head + b"\r\n") * 4)
                clients.append(reader)
            if requests[0].startswith("POST"):
                for _ in range(40):
                    for client in clients:
                        send(client, b" " * 50_000)
            most, served, refused = watch(daemon, connection, flood, 8)
            for client in clients:
                client.close()
            print(f"  {name:<30} at most {most:.0f} MiB; meanwhile {served} others served, {refused} refused", flush=True)
            assert most <= LIMIT, f"more than {LIMIT} MiB"
            peak = max(peak, most)
        call(connection, "DELETE", f"/processes/{small}")
        # A busy machine takes its time over what was sent, and the daemon gives memory back at
        # intervals.
        allowed = before + (peak - before) / 10
        for _ in range(3000):
            if daemon.memory() <= allowed:
                break
            time.sleep(0.1)
        print(f"  {daemon.memory():.0f} MiB after")
        if daemon.memory() > allowed:
            print(daemon.metrics())
            raise AssertionError("the memory did not come back")
        call(connection, "DELETE", f"/processes/{flood}")


if __name__ == "__main__":
    sys.exit(main())
