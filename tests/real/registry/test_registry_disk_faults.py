"""A disk that fails: every system call of a command that writes, one after the other."""

import json

import pytest

from bench import MODEL, check, objects_of

CALLS_MAX = 400

FAULTS = [
    ("fsync", "EIO"),
    ("fsync", "ENOSPC"),
    ("write", "ENOSPC"),
    ("write", "EIO"),
    ("write", "EINTR"),
    ("linkat", "EIO"),
    ("linkat", "ENOSPC"),
    ("linkat", "EINTR"),
    ("rename", "EIO"),
    ("rename", "ENOSPC"),
    ("mkdir", "ENOSPC"),
    ("unlink", "EIO"),
    ("openat", "ENOSPC"),
    ("openat", "EMFILE"),
    ("openat", "EINTR"),
]


@pytest.mark.parametrize("call, errno", FAULTS)
@pytest.mark.parametrize("verb", ["tag", "register"])
def test_a_fault_of_any_system_call_is_told_and_harms_nothing(disk, verb, call, errno):
    command = {"tag": ["models", "tag", "ridge:1"], "register": ["register", "ridge", MODEL]}[verb]
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
    faults = 0
    for number in range(1, CALLS_MAX):
        mark = f"{errno}-{number}"
        before = [*strace, "-e", f"inject={call}:error={errno}:when={number}"]
        code, out, said = disk.run(*command, "-t", f"{call}={mark}", before=before)
        objects = objects_of(disk.registry)
        check(objects, [])
        holds = [path for path, data in objects.items() if mark.encode() + b'"' in data and "#" not in path]
        assert "panicked" not in said, said
        if code == 0:
            assert holds, f"{mark} was acknowledged and is not there"
            json.loads(out)
            disk.ask("models", "show", "ridge:1")
        else:
            faults += 1
            # A library that cannot be opened is the loader's to tell.
            assert said.strip(), "it fails without a word"
        # Nothing was injected into a command that makes fewer of these calls.
        if code == 0 and number > most(disk, command, strace, call):
            break
    else:
        raise AssertionError(f"more than {CALLS_MAX}")
    assert faults or errno == "EINTR" or call in ("unlink", "rename"), "no fault was told"
    disk.ask("models", "tag", "ridge:1", "-t", "after=all")
    check(objects_of(disk.registry), [])


COUNTED = {}


def most(disk, command, strace, call):
    """How many of these calls a thread of the command makes at the most."""
    key = (command[0], call)
    if key not in COUNTED:
        lines = disk.registry + ".calls"
        disk.run(*command, "-t", "count=me", before=[*strace[:3], "-o", lines, *strace[5:]])
        by_thread = {}
        with open(lines, errors="replace") as file:
            for line in file:
                if f"{call}(" in line:
                    thread = line.split()[0]
                    by_thread[thread] = by_thread.get(thread, 0) + 1
        COUNTED[key] = max(by_thread.values(), default=0)
    return COUNTED[key]
