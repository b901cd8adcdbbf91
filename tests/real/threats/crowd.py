"""Many connections that one attacker opens and holds."""

import contextlib
import errno
import resource
import select
import socket
import time

# Connections that are being made at once: fewer than any listener's backlog.
CONNECTING_MAX = 100
# Connections from one address of 127.0.0.0/8: neither ports nor a limit for each address run out.
PER_ADDRESS = 250
# What this process needs besides.
OWN_DESCRIPTORS = 200


class Crowd:
    """`count` connections, each of which says `hello` when it is open. Use it in a `with` block."""

    def __init__(self, server, count, hello=b"", is_reading=True, receive_buffer=None):
        self._address, self._hello, self._count = server.host_and_port, hello, count
        self._is_reading, self._receive_buffer = is_reading, receive_buffer
        self._open = {}
        self.closed = 0
        # What the first that was told anything was told.
        self.first_words = b""

    def __enter__(self):
        raise_descriptor_limit(self._count + OWN_DESCRIPTORS)
        self._poll = select.epoll()
        connecting, made = {}, 0
        deadline = time.monotonic() + 60
        while made < self._count or connecting:
            assert time.monotonic() < deadline, f"only {len(self._open)} of {self._count} could connect"
            while made < self._count and len(connecting) < CONNECTING_MAX:
                connection = self._connect(made)
                connecting[connection.fileno()] = connection
                self._poll.register(connection, select.EPOLLOUT)
                made += 1
            for number, _ in self._poll.poll(1, CONNECTING_MAX):
                if number not in connecting:
                    self._look(number)
                    continue
                connection = connecting.pop(number)
                error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                assert error == 0, f"connection {made} of {self._count}: {errno.errorcode[error]}"
                if self._hello:
                    connection.send(self._hello)
                self._poll.modify(number, select.EPOLLIN if self._is_reading else select.EPOLLHUP)
                self._open[number] = connection
        return self

    def _connect(self, index):
        connection = socket.socket()
        connection.setblocking(False)
        if self._receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        connection.bind((f"127.0.1.{1 + index // PER_ADDRESS}", 0))
        code = connection.connect_ex(self._address)
        assert code == errno.EINPROGRESS, errno.errorcode[code]
        return connection

    def __exit__(self, *_):
        for connection in self._open.values():
            connection.close()
        self._poll.close()

    @property
    def open(self):
        """How many have not been closed by the server, as far as was looked."""
        return len(self._open)

    def hold(self, seconds, drip=b"", until_closed=False):
        """Holds the connections, and says one `drip` on each every second; may end early, when all are closed."""
        end = time.monotonic() + seconds
        next_drip = time.monotonic()
        while (now := time.monotonic()) < end and not (until_closed and not self._open):
            if drip and now >= next_drip:
                next_drip = now + 1
                for connection in self._open.values():
                    # One that is closed is seen by the poll; one that takes no more has more than enough.
                    with contextlib.suppress(OSError):
                        connection.send(drip)
            for number, _ in self._poll.poll(max(0, min(end, next_drip if drip else end) - now), 1000):
                self._look(number)

    def _look(self, number):
        connection = self._open[number]
        try:
            words = connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            words = b""
        self.first_words = self.first_words or words
        if not words:
            self._poll.unregister(number)
            self._open.pop(number).close()
            self.closed += 1


def raise_descriptor_limit(needed):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        assert hard == resource.RLIM_INFINITY or hard >= needed, (
            f"this test needs {needed} file descriptors and may have {hard}: raise the hard limit (ulimit -Hn)"
        )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
