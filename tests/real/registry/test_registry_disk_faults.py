"""A disk that fails: every system call of a command that writes, one after the other."""

import hashlib
import json

import pytest

from bench import MODEL, Bench, check, objects_of

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

# What may fail without the command's failing: to remove what is left over, and what only says that somebody is at work.
MAY_GO_UNNOTICED = ("unlink",)


def written(bench, verb):
    """The files that a command writes before it gives them their names. Programs write to more than disks, and wake themselves."""
    if verb == "tag":
        paths = ["models/ridge/1/meta/0000000001.json"]
    else:
        paths = [f"blobs/sha256/{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in MODEL.iterdir()]
        paths.append("models/ridge/1/manifest.json")
    return [word for path in paths for word in ("-P", f"{bench.registry}/{path}#1")]


@pytest.mark.parametrize("call, errno", FAULTS)
@pytest.mark.parametrize("verb", ["tag", "register"])
def test_a_fault_of_any_system_call_is_told_and_harms_nothing(tmp_path, verb, call, errno):
    (tmp_path / "registry").mkdir()
    base = Bench(tmp_path / "state", tmp_path / "registry")
    if verb == "tag":
        base.register()
    command = {"tag": ["models", "tag", "ridge:1"], "register": ["register", "ridge", MODEL]}[verb]
    told = 0
    for number in range(1, CALLS_MAX):
        bench, calls = base.copy(number), tmp_path / "calls"
        only = written(bench, verb) if call == "write" else []
        strace = ["strace", "-f", "-qq", "-o", str(calls), *only, "-e", f"trace={call}"]
        strace += ["-e", f"inject={call}:error={errno}:when={number}"]
        code, out, said = bench.run(*command, "-t", "stage=prod", before=strace)
        objects = objects_of(bench.registry)
        check(objects, [])
        assert "panicked" not in said, said
        if "INJECTED" not in calls.read_text(errors="replace"):
            assert code == 0, said
            break
        if code == 0:
            # It was acknowledged, so it holds.
            assert json.loads(out)["tags"] == {"stage": "prod"}
            assert bench.ask("models", "show", "ridge:1")["tags"] == {"stage": "prod"}
        else:
            told += 1
            assert said.strip(), "it fails without a word"
        # Whoever comes next is not in trouble.
        bench.ask(*command, "-t", "stage=test")
        check(objects_of(bench.registry), [])
    else:
        raise AssertionError(f"more than {CALLS_MAX}")
    # A revision is linked to its name, since a link never replaces what is there.
    assert number > 1 or (verb, call) == ("tag", "rename"), f"the command makes no {call}"
    assert told or number == 1 or errno == "EINTR" or call in MAY_GO_UNNOTICED, "no fault was told"
