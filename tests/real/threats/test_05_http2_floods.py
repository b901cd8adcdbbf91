"""Threat 5: floods of HTTP/2 frames that cost their sender nothing.

RUSTSEC-2023-0034 and CVE-2023-44487 (resets), RUSTSEC-2024-0332 (CONTINUATION), CVE-2019-9512 to 9518 (PING, SETTINGS, PRIORITY,
empty DATA), RUSTSEC-2026-0258 (empty DATA in h2), CVE-2025-8671 (MadeYouReset), CVE-2016-6581 (HPACK bomb).
"""

import dataclasses
import struct
import typing

import hpack
import pytest

import frames
from flood import Flood
from frames import frame, request, reset, window_update
from kinds import SCORE
from usage import Usage

# What one attacker sends, unless it is stopped earlier.
FRAMES = 1_000_000
PER_BURST = 1_000
# A server that stops reading someone who does not read has done enough.
BORNE_S = 3
ENDED_MAX_S = 20

RSS_GROWTH_MAX_MIB = 16
CPU_MAX_S = 2


@dataclasses.dataclass
class Attack:
    """`burst` makes the frames of one burst from the stream numbers that are its own."""

    burst: typing.Callable
    # What is said before the first burst.
    hello: bytes = b""
    # Whether the server must end the connection; what it need not end it must be able to bear.
    is_ended: bool = True
    is_reading: bool = True
    per_burst: int = PER_BURST


def of_streams(make):
    return lambda streams: b"".join(map(make, streams))


def same(data):
    return lambda _: data


def post(stream, *more):
    return request(stream, "POST", SCORE, *more, end=False)


def bomb():
    """A header of 4 KB that is put into the dynamic table once, and a block of one byte for each repetition."""
    encoder = hpack.Encoder()
    fields = [(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", "/livez")]
    first = encoder.encode([*fields, ("x" * 8, "y" * 4000)], huffman=False)
    # The table's newest entry is 62 (RFC 7541, section 2.3.3).
    again = encoder.encode(fields) + bytes([0x80 | 62]) * 16_000
    both = frames.END_HEADERS | frames.END_STREAM
    return frame(frames.HEADERS, both, 1, first), of_streams(
        lambda stream: frame(frames.HEADERS, both, stream + 2, again)
    )


BOMB_HELLO, BOMB_BURST = bomb()
PRIORITY_ON_ITSELF = 5
HEAD_BEGUN = frame(frames.HEADERS, 0, 1, frames.header_block("GET", "/livez"))
PING = frame(frames.PING, payload=b"flooding")

ATTACKS = {
    "rapid reset": Attack(of_streams(lambda stream: request(stream) + reset(stream))),
    "rapid reset of bodies": Attack(of_streams(lambda stream: post(stream) + reset(stream))),
    "CONTINUATION": Attack(
        same(frame(frames.CONTINUATION, 0, 1, b"\x00\x01x\x7f\x81\x7d" + b"a" * 1000) * 100), HEAD_BEGUN
    ),
    "empty CONTINUATION": Attack(same(frame(frames.CONTINUATION, 0, 1) * PER_BURST), HEAD_BEGUN),
    "PING": Attack(same(PING * PER_BURST)),
    "PING, answers not read": Attack(same(PING * PER_BURST), is_ended=False, is_reading=False),
    "SETTINGS": Attack(same(frames.settings(s4=65535) * PER_BURST)),
    "SETTINGS, answers not read": Attack(same(frames.settings(s4=65535) * PER_BURST), is_ended=False, is_reading=False),
    "empty DATA": Attack(same(frame(frames.DATA, 0, 1) * PER_BURST), post(1)),
    "empty DATA with padding": Attack(same(frame(frames.DATA, 0x8, 1, b"\x10" + bytes(16)) * PER_BURST), post(1)),
    "WINDOW_UPDATE": Attack(
        same((window_update(0, 1) + window_update(1, 1)) * (PER_BURST // 2)), post(1)
    ),
    "server's resets, by no increment": Attack(of_streams(lambda stream: post(stream) + window_update(stream, 0))),
    "server's resets, by too large a window": Attack(
        of_streams(lambda stream: post(stream) + window_update(stream, 2**31 - 1))
    ),
    "server's resets, by data after the end": Attack(
        of_streams(lambda stream: request(stream) + frame(frames.DATA, 0, stream, b"x"))
    ),
    "server's resets, by priority on itself": Attack(
        of_streams(lambda stream: post(stream) + frame(frames.PRIORITY, 0, stream, struct.pack(">IB", stream, 1)))
    ),
    "server's resets, by a wrong length": Attack(
        of_streams(lambda stream: post(stream, ("content-length", "1")) + frame(frames.DATA, 1, stream, b"xx"))
    ),
    "PRIORITY": Attack(
        of_streams(lambda stream: frame(frames.PRIORITY, 0, stream, struct.pack(">IB", 0, 1)))
    ),
    "unknown frames": Attack(same(frame(0xEE, 0, 0, b"x") * PER_BURST)),
    "HPACK bomb": Attack(BOMB_BURST, BOMB_HELLO, per_burst=10),
    "requests, answers not read": Attack(of_streams(request), is_reading=False),
}


def streams_of_burst(number, per_burst):
    first = 1 + 2 * number * per_burst
    return range(first, first + 2 * per_burst, 2)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_flood_is_ended_or_borne(serve, row_model, bystander, figure, name):
    attack = ATTACKS[name]
    with serve(row_model) as server, bystander(server) as good:
        usage = Usage(server)
        usage.forget_peak()
        flood = Flood(
            server,
            frames.OPENING + attack.hello,
            lambda number: attack.burst(streams_of_burst(number, attack.per_burst)),
            attack.is_reading,
        ).run(ENDED_MAX_S if attack.is_ended else BORNE_S, FRAMES // PER_BURST)
        cpu, peak, slowness = usage.cpu_growth_seconds, usage.peak_growth_mib, usage.slowness
        # The good client is served after the attack, too.
        good.next_phase()
    ended = f"ended after {flood.ended_after:.2f} s" if flood.ended_after is not None else "not ended"
    figure(f"{ended}, {flood.sent_bytes / 1e6:.1f} MB sent, {cpu:.2f} CPU-s, RSS at most +{peak:.1f} MiB")
    assert peak <= RSS_GROWTH_MAX_MIB and cpu <= CPU_MAX_S * slowness
    if attack.is_ended:
        assert flood.ended_after is not None
    if attack.is_ended and attack.is_reading:
        assert any(kind == frames.GOAWAY for kind, _, _, _ in frames.parse(flood.received)), flood.received[-200:]


def test_the_same_frames_in_moderation_are_served(serve, row_model):
    """The control: what ends or refuses a flood is its measure, not its frames."""
    some = [attack.burst(range(101, 103, 2)) for name, attack in ATTACKS.items() if "rapid reset" in name]
    some += [PING, frames.settings(s4=65535), window_update(0, 1), frame(0xEE, 0, 0, b"x")]
    some += [frame(frames.PRIORITY, 0, 5, struct.pack(">IB", 0, 1))]
    with serve(row_model) as server:
        flood = Flood(server, frames.OPENING + b"".join([some[0], *some[2:]]) + request(201), same(PING)).run(1, 1)
    answered = [stream for kind, _, stream, _ in frames.parse(flood.received) if kind == frames.HEADERS]
    assert 201 in answered and flood.ended_after is None, flood.received


def test_streams_beyond_the_limit_are_refused_and_within_it_served(serve, row_model):
    """REFUSED_STREAM for those that are too many, by the setting; with a higher setting the same streams are taken."""
    hello = frames.OPENING + b"".join(post(stream) for stream in range(1, 61, 2))
    refused = {}
    for limit in (10, 100):
        with serve(row_model, http2_max_streams=limit) as server:
            flood = Flood(server, hello, same(PING)).run(1, 1)
        resets = [stream for kind, _, stream, _ in frames.parse(flood.received) if kind == frames.RST_STREAM]
        refused[limit] = len(resets)
    assert refused == {10: 20, 100: 0}
