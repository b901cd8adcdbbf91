"""HTTP/2 by hand: frames that no library would send (RFC 9113, section 6)."""

import struct

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
INITIAL_WINDOW_SIZE = 4
CANCEL, ENHANCE_YOUR_CALM = 0x8, 0xB


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(**values):
    """A SETTINGS frame; keywords are `s` and the identifier's number."""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", int(key[1:]), value) for key, value in values.items()))


def header_block(method, path, *more):
    """A header block that changes no dynamic table, so that it can be sent any number of times."""
    fields = [(":method", method), (":scheme", "http"), (":authority", "test"), (":path", path), *more]
    # What is marked sensitive is written out in full each time.
    return hpack.Encoder().encode([(name, value, True) for name, value in fields], huffman=False)


def request(stream, method="GET", path="/livez", *more, end=True):
    """HEADERS of a whole request."""
    flags = END_HEADERS | (END_STREAM if end else 0)
    return frame(HEADERS, flags, stream, header_block(method, path, *more))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


OPENING = PREFACE + settings()


def parse(data):
    """Whole frames of what was received: (kind, flags, stream, payload)."""
    at = 0
    while at + 9 <= len(data):
        length = int.from_bytes(data[at : at + 3], "big")
        kind, flags, stream = struct.unpack(">BBI", data[at + 3 : at + 9])
        if at + 9 + length > len(data):
            return
        yield kind, flags, stream & 0x7FFFFFFF, data[at + 9 : at + 9 + length]
        at += 9 + length
