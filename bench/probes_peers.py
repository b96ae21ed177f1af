"""The targets: a process that accepts and closes on one port, and answers HTTP on another, on all of 127/8.

Its CPU is nobody's in the measurement. Prints both ports, and ends with its standard input.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
AT_ONCE = 64


def listening() -> socket.socket:
    sock = socket.create_server(("0.0.0.0", 0), backlog=4096)
    sock.setblocking(False)
    return sock


def serve(tcp: socket.socket, http: socket.socket) -> None:
    poll = select.epoll()
    for fd in (0, tcp.fileno(), http.fileno()):
        poll.register(fd, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    while True:
        for fd, _event in poll.poll():
            if fd == 0:
                return
            if fd == tcp.fileno():
                accept_and_close(tcp)
            elif fd == http.fileno():
                accept(http, poll, clients)
            else:
                poll.unregister(fd)
                answer(clients.pop(fd))


def accept_and_close(server: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        for _ in range(AT_ONCE):
            server.accept()[0].close()


def accept(server: socket.socket, poll: select.epoll, clients: dict[int, socket.socket]) -> None:
    with contextlib.suppress(BlockingIOError):
        for _ in range(AT_ONCE):
            client = server.accept()[0]
            client.setblocking(False)
            clients[client.fileno()] = client
            poll.register(client.fileno(), select.EPOLLIN)


def answer(client: socket.socket) -> None:
    with client, contextlib.suppress(OSError):
        if client.recv(4096):
            client.send(ANSWER)


if __name__ == "__main__":
    sockets = listening(), listening()
    print(json.dumps([sock.getsockname()[1] for sock in sockets]), flush=True)
    serve(*sockets)
    sys.exit(0)
