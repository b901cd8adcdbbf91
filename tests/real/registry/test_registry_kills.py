"""Writers that are killed: at random, and at every system call that writes. SCORIA_KILLS says how many at random."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys

import pytest

from bench import MODEL, check, objects_of

KILLS = int(os.environ.get("SCORIA_KILLS", "120"))

# What may change a disk, what is asked of it in between, and how many of each a command makes at the most. Threads share the calls
# differently each time, and each thread's are counted apart.
CALLS = ["openat", "write", "fsync", "linkat", "rename", "mkdir", "unlink", "close", "read", "statx"]
CALLS_MAX = 400


def test_killed_writers_leave_whole_registries_and_lose_nothing(disk):
    chance = random.Random(30)
    promised, versions = {}, 1
    for kill in range(KILLS):
        registers = kill % 4 == 0
        arguments = ["register", "ridge", MODEL] if registers else ["models", "tag", "ridge:1", "-t", f"kill-{kill % 50}={kill}"]
        process = disk.start(*arguments)
        try:
            process.wait(timeout=chance.uniform(0, 0.15 if registers else 0.03))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        if process.returncode == 0:
            if registers:
                versions = max(versions, json.loads(out)["version"])
            else:
                promised[f"kill-{kill % 50}"] = str(kill)
        check(objects_of(disk.registry), [(f"models/ridge/{version}/manifest.json", "") for version in range(1, versions + 1)])
    tags = disk.ask("models", "show", "ridge:1")["tags"]
    for key, value in promised.items():
        # A later writer that was killed may have been taken all the same.
        assert int(tags.get(key, -1)) >= int(value), f"{key}={value} was acknowledged"
    assert promised and len(promised) < KILLS, "every writer was killed, or none"
    listed = disk.ask("models", "list", "ridge")
    assert [version["version"] for version in listed] == list(range(len(listed), 0, -1)) and len(listed) >= versions


NAIVE = """
import json, sys
path, value = sys.argv[1:]
with open(path) as file:
    state = json.load(file)
state["values"] = [value] * 200_000
with open(path, "w") as file:
    json.dump(state, file)
"""


def test_the_same_kills_damage_what_is_written_naively(tmp_path):
    """The control: a test that cannot fail proves nothing."""
    chance, damaged = random.Random(30), 0
    path = tmp_path / "state.json"
    for kill in range(60):
        path.write_text(json.dumps({"values": []}))
        process = subprocess.Popen([sys.executable, "-c", NAIVE, str(path), str(kill)])
        try:
            process.wait(timeout=chance.uniform(0.02, 0.2))
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        try:
            json.loads(path.read_text())
        except ValueError:
            damaged += 1
    assert damaged > 0


@pytest.mark.parametrize("verb", ["tag", "register", "delete"])
def test_a_kill_at_any_system_call_leaves_a_whole_registry(disk, verb):
    disk.register("wine")
    command = {
        "tag": ["models", "tag", "ridge:1", "-t", "stage=prod"],
        "register": ["register", "ridge", MODEL / "model.onnx"],
        "delete": ["models", "delete", "ridge:1"],
    }[verb]
    killed = 0
    for call in CALLS:
        for number in range(1, CALLS_MAX):
            bench = disk.copy(f"{call}-{number}")
            inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"]
            code, _, said = bench.run(*command, before=["strace", "-f", "-qq", "-o", "/dev/null", *inject])
            check(objects_of(bench.registry), [])
            if code == 0:
                break
            killed += 1
            assert code in (-signal.SIGKILL, 128 + signal.SIGKILL, 1), said
            # Who comes after them is not in their way. What a killed collector has left, writers would wait for.
            for mark in (pathlib.Path(bench.registry) / "collections").glob("*.json"):
                os.utime(mark, (0, 0))
            if number % 8 == 1:
                assert bench.register("wine")["version"] == 2
                bench.ask("models", "list")
                check(objects_of(bench.registry), [("models/wine/2/manifest.json", "")])
        else:
            raise AssertionError(f"{call}: more than {CALLS_MAX}")
    assert killed > 30, f"{killed} were killed"
