"""Requests as bytes, most of them wrong, and what must come of each."""

import dataclasses
import enum

from kinds import SCORE

BODY = b'{"data": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}'
# What stands for the targets of the first request and of one that may hide behind it.
FIRST, SECOND = b"/FIRST", b"/SECOND"
# A request that must not be taken for one where it is hidden.
HIDDEN = b"GET /SECOND HTTP/1.1\r\nHost: a\r\n\r\n"


class Outcome(enum.Enum):
    # A 4xx or no word, and the end of the connection.
    REFUSED = enum.auto()
    # One answer, of the status given, whatever follows.
    ANSWERED = enum.auto()
    # An answer to each of the two requests that are plainly there.
    ANSWERED_TWICE = enum.auto()
    # Nothing yet: the request is not complete.
    WAITED_FOR = enum.auto()


@dataclasses.dataclass
class Vector:
    template: bytes
    outcome: Outcome
    status: int | None

    @property
    def payload(self):
        """The second request is one that would be answered 200."""
        return self.template.replace(FIRST, SCORE.encode()).replace(SECOND, b"/livez")

    def marked(self, mark):
        """With targets of its own, by which logs tell who it was."""
        return self.template.replace(FIRST, b"/vector-%s/first" % mark).replace(SECOND, b"/vector-%s/second" % mark)


VECTORS = {}


def vector(name, template, outcome=Outcome.REFUSED, status=None):
    assert name not in VECTORS, name
    VECTORS[name] = Vector(template, outcome, status)


def answered(name, template, status=200):
    vector(name, template, Outcome.ANSWERED, status)


def post(*lines, body=BODY, line=b"POST /FIRST HTTP/1.1", host=b"Host: a", end=b"\r\n"):
    return end.join([line, *([host] if host else []), *lines]) + end * 2 + body


def length(body=BODY):
    return b"Content-Length: %d" % len(body)


CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


def chunked(body, *lines):
    return post(CHUNKED, *lines, body=body)


# What is right.
answered("a length", post(length()))
answered("chunks", chunked(CHUNKS))
answered("many chunks", chunked(b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"))
answered("a chunk size in capitals, with leading zeros", chunked(CHUNKS.replace(b"2b", b"0002B", 1)))
answered("a chunk extension", chunked(CHUNKS.replace(b"\r\n", b";name=value\r\n", 1)))
answered("a quoted chunk extension", chunked(CHUNKS.replace(b"\r\n", b';name="a;b"\r\n', 1)))
answered("a trailer", chunked(CHUNKS[:-2] + b"X-Trailer: a\r\n\r\n"))
answered("no body at all", b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
answered("HTTP/1.0 without a Host", post(length(), line=b"POST /FIRST HTTP/1.0", host=None))
answered("the absolute form", post(length(), line=b"POST http://a/FIRST HTTP/1.1"))
answered("an empty line first", b"\r\n" + post(length()))
answered("a header of white space around its value", post(length(), b"X:  \t a \t "))
answered("an empty header value", post(length(), b"X:"))
answered("a header value of bytes above 127", post(length(), b"X: \xc3\xa9\xff"))
vector("two requests in one go", post(length()) * 2, Outcome.ANSWERED_TWICE, 200)
vector("two chunked requests in one go", chunked(CHUNKS) * 2, Outcome.ANSWERED_TWICE, 200)

# Lengths.
vector("two lengths that differ", post(length(), b"Content-Length: 5", body=BODY + HIDDEN))
vector("two lengths that differ, in the other order", post(b"Content-Length: 5", length(), body=BODY + HIDDEN))
vector("two lengths in one value", post(b"Content-Length: 5, 6", body=BODY + HIDDEN))
vector("a length of zero and another", post(b"Content-Length: 0", b"Content-Length: %d" % len(HIDDEN), body=HIDDEN))
for text in (
    b"+5",
    b"-1",
    b"-0",
    b"0x5",
    b"5 5",
    b"5;",
    b"5.0",
    b"1e1",
    b"",
    b"five",
    b"\xd9\xa5",
    b"5\x0b",
    b"5\x00",
    b"'5'",
):
    vector(f"a length of {text!r}", post(b"Content-Length: " + text, body=HIDDEN))
vector("a length of 2^64", post(b"Content-Length: 18446744073709551616", body=HIDDEN))
vector("a length of 2^64 + 5", post(b"Content-Length: 18446744073709551621", body=HIDDEN))
vector("a length of thirty digits", post(b"Content-Length: " + b"9" * 30, body=HIDDEN))
vector("a length with a space before the colon", post(b"Content-Length : %d" % len(HIDDEN), body=HIDDEN))
vector("a length with a tab before the colon", post(b"Content-Length\t: %d" % len(HIDDEN), body=HIDDEN))
vector("a length in a folded line", post(b"Content-Length:\r\n %d" % len(HIDDEN), body=HIDDEN))
vector("a length behind a folded line", post(b"X: a\r\n Content-Length: 5", length(HIDDEN), body=HIDDEN))
vector("a length behind a bare CR", post(b"X: a\rContent-Length: %d" % len(HIDDEN), body=HIDDEN))
vector("a length behind a NUL", post(b"X: a\x00Content-Length: %d" % len(HIDDEN), body=HIDDEN))
vector("a length too long for its body", post(b"Content-Length: 1000"), Outcome.WAITED_FOR)

# Transfer-Encoding.
# One of both is right: the chunks, and nothing after them (RFC 9112, section 6.1).
answered("both lengths", chunked(CHUNKS + HIDDEN, length(CHUNKS + HIDDEN)))
answered("both lengths, in the other order", post(length(CHUNKS + HIDDEN), CHUNKED, body=CHUNKS + HIDDEN))
answered("both lengths, of which the short one is the number", chunked(CHUNKS + HIDDEN, b"Content-Length: 4"))
for text in (
    b"gzip",
    b"chunked, gzip",
    b"gzip, chunked",
    b"identity",
    b"chunked, identity",
    b"xchunked",
    b"chunked;q=1",
    b"chunked\x0b",
    b'"chunked"',
    b"chunked chunked",
    b"chu nked",
    b",",
    b"",
    b"chunked, chunked",
):
    vector(f"the transfer encoding {text!r}", post(b"Transfer-Encoding: " + text, body=b"0\r\n\r\n" + HIDDEN))
vector("the transfer encoding twice", post(CHUNKED, CHUNKED, body=b"0\r\n\r\n" + HIDDEN))
vector(
    "the transfer encoding twice, the second odd", post(CHUNKED, b"Transfer-Encoding: x", body=b"0\r\n\r\n" + HIDDEN)
)
vector(
    "a transfer encoding with a space before the colon",
    post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + HIDDEN),
)
vector("a transfer encoding in a folded line", post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n" + HIDDEN))
vector("a transfer encoding behind a bare CR", post(b"X: a\rTransfer-Encoding: chunked", body=b"0\r\n\r\n" + HIDDEN))
vector("a transfer encoding with an underscore", post(b"Transfer_Encoding: chunked", body=b""))
vector(
    "a transfer encoding in HTTP/1.0",
    post(CHUNKED, line=b"POST /FIRST HTTP/1.0", body=b"0\r\n\r\n" + HIDDEN),
)

# Chunks.
for size in (
    b"-1",
    b"+2b",
    b"0x2b",
    b" 2b",
    b"2b 2b",
    b"2g",
    b"",
    b"ffffffffffffffff",
    b"10000000000000000",
    b"f" * 17,
):
    vector(f"a chunk size of {size!r}", chunked(size + b"\r\n" + BODY + b"\r\n0\r\n\r\n" + HIDDEN))
vector("a chunk size that wraps around", chunked(b"1%016x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n" + HIDDEN))
vector("a chunk line that ends in LF", chunked(CHUNKS.replace(b"\r\n", b"\n", 1) + HIDDEN))
vector("a chunk line that ends in CR", chunked(CHUNKS.replace(b"\r\n", b"\r", 1) + HIDDEN))
vector("a chunk extension with an LF", chunked(CHUNKS.replace(b"\r\n", b";a\nb\r\n", 1) + HIDDEN))
vector("a chunk that lacks its CRLF", chunked(b"%x\r\n%s0\r\n\r\n" % (len(BODY), BODY) + HIDDEN))
vector("a chunk that ends in LF", chunked(b"%x\r\n%s\n0\r\n\r\n" % (len(BODY), BODY) + HIDDEN))
vector("a chunk that is longer than its size", chunked(b"5\r\n%s\r\n0\r\n\r\n" % BODY + HIDDEN))
vector("chunks that end in LF LF", chunked(CHUNKS[:-4] + b"\n\n" + HIDDEN))
vector("a last chunk with data", chunked(CHUNKS[:-2] + HIDDEN))
vector("a trailer that is no header", chunked(CHUNKS[:-2] + b"no header\r\n\r\n" + HIDDEN))
answered("a length as a trailer", chunked(CHUNKS[:-2] + b"Content-Length: 5\r\n\r\n"))
answered("a key as a trailer", chunked(CHUNKS[:-2] + b"Authorization: Bearer a\r\n\r\n"))
vector("chunks without an end", chunked(CHUNKS[:-5]), Outcome.WAITED_FOR)
vector("chunks without an end to the trailers", chunked(CHUNKS[:-2]), Outcome.WAITED_FOR)

# Hosts and targets.
vector("no Host", post(length(), host=None))
vector("two Hosts", post(length(), b"Host: b"))
vector("the same Host twice", post(length(), b"Host: a"))
vector("Hosts that differ in case", post(length(), b"hOST: b"))
for text in (
    b"a b",
    b"a/b",
    b"a@b",
    b"a\tb",
    b"a\\b",
    b"a#b",
    b"http://a",
    b"a:b",
    b"a:1:2",
    b"[::1",
    b"a%",
    b"\xc3\xa9",
):
    vector(f"a Host of {text!r}", post(length(), host=b"Host: " + text))
# The target counts (RFC 9112, section 3.2.2).
answered("an absolute form of another host", post(length(), line=b"POST http://b/FIRST HTTP/1.1"))
vector("an absolute form without a host", post(length(), line=b"POST http:///FIRST HTTP/1.1"))
vector("an authority as the target", post(length(), line=b"POST a:80 HTTP/1.1"))
vector("CONNECT", b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n")
vector("an asterisk as the target", post(length(), line=b"POST * HTTP/1.1"))
vector("a target without a slash", post(length(), line=b"POST FIRST HTTP/1.1"))
# It means nothing to a server, which does without it.
answered("a fragment in the target", post(length(), line=b"POST /FIRST#a HTTP/1.1"))
vector("a NUL in the target", post(length(), line=b"POST /FIRST\x00 HTTP/1.1"))
vector("a space in the target", post(length(), line=b"POST /FIRST a HTTP/1.1"))
vector("a tab in the target", post(length(), line=b"POST /FIRST\ta HTTP/1.1"))
vector("bytes above 127 in the target", post(length(), line=b"POST /FIRST\xff HTTP/1.1"))

# Request lines and methods.
vector("HTTP/0.9", b"GET /livez\r\n")
vector("HTTP/0.9 with a hidden request", b"GET /FIRST\r\n\r\n" + HIDDEN)
vector("HTTP/2.0 in words", post(length(), line=b"POST /FIRST HTTP/2.0"))
vector("HTTP/1.2", post(length(), line=b"POST /FIRST HTTP/1.2"))
vector("a version in lower case", post(length(), line=b"POST /FIRST http/1.1"))
vector("a version with a space", post(length(), line=b"POST /FIRST HTTP/ 1.1"))
vector("two spaces after the method", post(length(), line=b"POST  /FIRST HTTP/1.1"))
vector("a tab after the method", post(length(), line=b"POST\t/FIRST HTTP/1.1"))
vector("a space before the method", post(length(), line=b" POST /FIRST HTTP/1.1"))
vector("no method", post(length(), line=b" /FIRST HTTP/1.1"))
vector("a method in lower case", post(length(), line=b"post /FIRST HTTP/1.1"))
vector("an unknown method", post(length(), line=b"BREW /FIRST HTTP/1.1"))
vector("a method of 10,000 letters", post(length(), line=b"A" * 10_000 + b" /FIRST HTTP/1.1"))
vector("a method with a colon", post(length(), line=b"PO:ST /FIRST HTTP/1.1"))
vector("a method with a NUL", post(length(), line=b"PO\x00ST /FIRST HTTP/1.1"))
vector("GET with a request as its body", post(length(HIDDEN), body=HIDDEN, line=b"GET /FIRST HTTP/1.1"))

# Header lines.
vector("a folded line", post(length(), b"X: a\r\n b"))
vector("a folded first line", post(b" X: a", length()))
vector("a line that begins with a space", post(length(), b" X: a"))
vector("a header without a colon", post(length(), b"X"))
vector("a header without a name", post(length(), b": a"))
vector("a space in a header's name", post(length(), b"X Y: a"))
vector("a header's name of bytes above 127", post(length(), b"\xc3\xa9: a"))
vector("a NUL in a header's value", post(length(), b"X: a\x00b"))
vector("a NUL in a header's name", post(length(), b"X\x00: a"))
vector("a bare CR in a header's value", post(length(), b"X: a\rb"))
vector("a bare CR as the end of a line", post(length(), b"X: a\r" + b"Y: b"))
# Allowed outside of chunks (RFC 9112, section 2.2).
vector("bare LFs as the ends of lines", post(length(), end=b"\n"))
vector("a bare LF before the body", post(length())[: -len(BODY) - 2] + b"\n" + BODY)
vector("a vertical tab in a header's value", post(length(), b"X: a\x0bb"))
vector("an escape in a header's value", post(length(), b"X: a\x1bb"))
