"""One client that sends as fast as the server takes it."""

import select
import socket
import time

# Of what was received, the last so many bytes are kept.
RECEIVED_MAX = 1_000_000


class Flood:
    """Sends `hello`, then what `burst` makes of 0, 1, 2 and so on, until the server ends the connection."""

    def __init__(self, server, hello, burst, is_reading=True):
        self._address, self._is_reading = server.host_and_port, is_reading
        self._hello, self._burst = hello, burst
        self.received = b""
        self.bursts = 0
        self.sent_bytes = 0
        self.ended_after = None

    def run(self, seconds, bursts):
        """Sends at most so many bursts, for at most so long, and looks for a second what is said to the last of it."""
        begun = time.monotonic()
        with socket.create_connection(self._address, timeout=10) as connection:
            connection.sendall(self._hello)
            connection.setblocking(False)
            pending = memoryview(b"")
            try:
                while time.monotonic() - begun < seconds and (pending or self.bursts < bursts):
                    if not pending:
                        pending = memoryview(self._burst(self.bursts))
                        self.bursts += 1
                    pending = pending[self._exchange(connection, pending) :]
            except OSError:
                self.ended_after = time.monotonic() - begun
            self._read_rest(connection)
        return self

    def _exchange(self, connection, pending):
        readable, writable, _ = select.select([connection] if self._is_reading else [], [connection], [], 0.1)
        if readable:
            words = connection.recv(65536)
            if not words:
                raise ConnectionResetError
            # What says why the end came is at the end.
            self.received = (self.received + words)[-RECEIVED_MAX:]
        sent = connection.send(pending) if writable else 0
        self.sent_bytes += sent
        return sent

    def _read_rest(self, connection):
        connection.settimeout(1)
        try:
            while words := connection.recv(65536):
                self.received += words
        except OSError:
            """Nothing more was said, or the end was a reset."""
