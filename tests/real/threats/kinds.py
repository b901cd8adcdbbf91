"""The ways to keep a connection open while giving nothing, or taking nothing."""

import dataclasses

import frames

# What the model `row` answers to itself.
ROW = [[10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]]
SCORE = "/api/v1/service/row/score"
HEAD = f"POST {SCORE} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n".encode()
ENDLESS = ("content-length", "100000")


@dataclasses.dataclass
class Kind:
    """What such a client says at once, and then every second."""

    hello: bytes
    drip: bytes = b""


KINDS = {
    "silent": Kind(b""),
    "slow preface": Kind(frames.PREFACE[:5]),
    "slow head": Kind(HEAD + b"X-Slow: ", b"a"),
    "slow body": Kind(HEAD + b"Content-Length: 100000\r\n\r\n", b" " * 10),
    "slow chunks": Kind(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 2),
    "idle": Kind(b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n"),
    "HTTP/2 idle": Kind(frames.OPENING + frames.request(1)),
    "HTTP/2 without a request": Kind(frames.OPENING),
    "HTTP/2 only pings": Kind(frames.OPENING, frames.frame(frames.PING, payload=b"slowslow")),
    "HTTP/2 slow head": Kind(
        frames.OPENING + frames.frame(frames.HEADERS, 0, 1, frames.header_block("GET", "/livez")),
        # A literal without indexing, its name one letter, its value none.
        frames.frame(frames.CONTINUATION, 0, 1, b"\x00\x01x\x00"),
    ),
    "HTTP/2 slow body": Kind(
        frames.OPENING + frames.request(1, "POST", SCORE, ENDLESS, end=False),
        frames.frame(frames.DATA, 0, 1, b" " * 10),
    ),
}
