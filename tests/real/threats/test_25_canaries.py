"""Threat 25: keys that show up somewhere: in logs, errors, metrics, documents, the process's own files, or its memory."""

import contextlib
import json
import pathlib
import re

import httpx
import pytest
import requests

from refusals import RIDGE, exchange
from scoria_server import Server

WRONG = "canary-of-a-wrong-key-that-nobody-has"
SECRET_INPUT = 918273645.25


def keys_of(server):
    keys = [path.read_text().strip() for path in pathlib.Path(server.state_dir).rglob("*.key")]
    assert len(keys) == 6, "two for each endpoint, and two for the admin port"
    return keys


def traffic(server):
    """Everything that can be answered to somebody who shows a key, or something like one; gives the answers."""
    texts = []
    row, other, admin = (
        server.key("row"),
        server.key("other"),
        (server.state_dir / "admin.primary.key").read_text().strip(),
    )
    uri = server.score_uri("row")

    def keep(answer):
        texts.append(f"{answer.status_code} {answer.headers} {answer.text}")

    schemes = [f"Bearer {key}" for key in (row, other, admin, WRONG, f"{row}x", f"{row} {row}")]
    schemes += [row, f"Basic {row}", f"bearer {row}", f"Token {WRONG}", f"Bearer  {row}"]
    with httpx.Client(http1=False, http2=True) as http2:
        for scheme in schemes:
            headers = {"Authorization": scheme}
            for body in (json.dumps(RIDGE), "{", '{"x": []}', "", json.dumps({"data": [[SECRET_INPUT] * 9]})):
                keep(requests.post(uri, data=body, headers=headers, timeout=10))
                keep(http2.post(uri, content=body, headers=headers))
            for more in ({"Content-Type": scheme}, {"x-scoria-timeout-ms": scheme}, {"x-scoria-shape": scheme}):
                # What is wrong is shown to its sender. It must not be shown to anybody else, which the log is for.
                requests.post(uri, data="{}", headers={**headers, **more}, timeout=10)
            for base in (server.base, server.admin):
                for path in (
                    "/",
                    "/readyz",
                    "/healthz",
                    "/openapi.json",
                    "/metrics",
                    "/api/v1/service",
                    "/api/v1/service/row",
                ):
                    keep(requests.get(base + path, headers=headers, timeout=10))
            keep(requests.get(f"{server.base}/api/v1/service/row/swagger.json", headers=headers, timeout=10))
            # Cut off, broken, and too long.
            head = f"POST /api/v1/service/row/score HTTP/1.1\r\nHost: a\r\nAuthorization: {scheme}\r\n"
            for rest in ("Content-Length: 10\r\n\r\n", "Bad Header\r\n\r\n", f"X: {'a' * 40_000}\r\n\r\n", "\r\n"):
                texts.append(exchange(server, (head + rest).encode(), timeout=0.2, half_close=True).decode("latin1"))
    return texts


def process_files(server):
    texts = []
    for name in ("cmdline", "environ", "comm", "limits", "maps", "status"):
        texts.append(pathlib.Path(f"/proc/{server.process.pid}/{name}").read_text())
    for task in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
        texts.append((task / "comm").read_text())
    return texts


@pytest.mark.parametrize("log_format", ["json", "human"])
def test_no_key_is_in_anything_that_is_written_or_answered(serve, row_model, figure, log_format):
    chatty = {"log_level": "debug", "log_sample_per_second": 1_000_000, "log_slow_ms": 0, "log_format": log_format}
    with serve(f"row={row_model}", f"other={row_model}", auth="key", **chatty) as server:
        keys = keys_of(server)
        texts = [*traffic(server), *process_files(server)]
    assert len(server.stderr) > 50_000, "the log was to be full"
    kept = [path for path in pathlib.Path(server.state_dir).rglob("*") if path.is_file() and path.suffix != ".key"]
    texts += [server.stdout, server.stderr, *(path.read_text() for path in kept)]
    for canary in (*keys, WRONG):
        # Half of a key is too much as well, and so is a key without its prefix.
        half = canary.removeprefix("scoria_")[: len(canary) // 2]
        assert not [text[:300] for text in texts if half in text]
    assert not [text[:300] for text in [server.stderr] if str(SECRET_INPUT) in text], "nor is what was scored"
    assert all(path.stat().st_mode & 0o077 == 0 for path in pathlib.Path(server.state_dir).rglob("*"))
    figure(f"{len(texts)} texts, {sum(map(len, texts)) / 1e6:.1f} MB, {len(keys) + 1} canaries")


def memory_of(server):
    """The readable memory of a process, piece by piece."""
    folder = pathlib.Path(f"/proc/{server.process.pid}")
    with open(folder / "mem", "rb", 0) as memory:
        for line in (folder / "maps").read_text().splitlines():
            begin, end, access = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if access.startswith("rw"):
                # What was mapped a moment ago may be gone.
                with contextlib.suppress(OSError, OverflowError):
                    memory.seek(int(begin, 16))
                    yield memory.read(int(end, 16) - int(begin, 16))


def found(server, texts):
    """Which of these are in a process's memory."""
    return {text for piece in memory_of(server) for text in texts if text in piece}


def test_a_server_that_did_not_make_its_keys_never_holds_them(tmp_path, row_model):
    """Even a core dump has none, until a client shows one. The control: a word of the command line is found."""
    with Server(tmp_path / "state", f"row={row_model}", f"other={row_model}", auth="key"):
        pass
    with Server(tmp_path / "state", f"row={row_model}", f"other={row_model}", auth="key") as server:
        keys = [key.removeprefix("scoria_")[:20].encode() for key in keys_of(server)]
        assert found(server, [*keys, b"--state-dir"]) == {b"--state-dir"}
