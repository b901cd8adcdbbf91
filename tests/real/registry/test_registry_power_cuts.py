"""Power cuts, simulated from what the program really asks of its disk. SCORIA_POWER_CUTS says how many."""

import json
import os
import random

import pytest

from bench import MODEL, Bench, check
from power import Disk, operations, strace

CUTS = int(os.environ.get("SCORIA_POWER_CUTS", "2000"))


def tags(number):
    return f"models/ridge/1/meta/{number:010}.json"


RECORDS = 5


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The calls of a registry's whole life, and what was acknowledged when: `(time, path, text)`.

    Programs that run at the same time are traced by a tracer each, whose clocks tell which of two calls came first but for some
    microseconds. A record in which a file is written before it is made is not what happened, and is made again.
    """
    for _ in range(RECORDS):
        calls, acknowledged = record(tmp_path_factory.mktemp("power"))
        if is_possible(calls):
            return calls, acknowledged
    raise AssertionError(f"{RECORDS} records, and none that can have happened")


def is_possible(calls):
    disk = Disk()
    try:
        for _, operation in calls:
            disk.do(operation)
    except KeyError:
        return False
    return True


def record(folder):
    registry = folder / "registry"
    registry.mkdir()
    bench = Bench(folder / "state", registry)
    calls, acknowledged = [], []

    def run(steps):
        """Runs commands at the same time."""
        started = []
        for arguments in steps:
            traces = folder / f"traces-{len(list(folder.iterdir()))}"
            traces.mkdir()
            started.append((traces, bench.start(*arguments, before=strace(traces))))
        documents = []
        for traces, process in started:
            out, said = process.communicate(timeout=300)
            assert process.returncode == 0, said
            documents.append(json.loads(out))
            calls.extend((moment, traces, operation) for moment, operation in operations(traces, str(registry)))
        return documents

    def promise(path, text):
        acknowledged.append((max(moment for moment, *_ in calls), path, text))

    # Several at once: each finds folders that another has just made.
    for version in run([["register", "ridge", MODEL, "-t", f"writer={writer}"] for writer in range(3)]):
        promise(f"models/ridge/{version['version']}/manifest.json", version["tags"]["writer"])
    for number in range(1, 4):
        run([["models", "tag", "ridge:1", "-t", f"n={number}"]])
        promise(tags(number), f'"{number}"')
    run([["register", "ridge", MODEL / "model.onnx"], ["models", "archive", "ridge:1"]])
    promise("models/ridge/4/manifest.json", '"ridge"')
    promise(tags(4), '"archived": true')
    run([["models", "delete", "ridge:2"]])
    promise("models/ridge/2/meta/0000000001.json", '"deleted": true')
    calls.sort(key=lambda call: call[0])
    return [(moment, operation) for moment, _, operation in calls], acknowledged


def cut(told, ignores_syncs, cuts, seed):
    """Cuts the power after every call, several times each; gives how many cuts were harmless, and what harm was first done."""
    calls, acknowledged = told
    chance, disk, harmless, harm = random.Random(seed), Disk(), 0, None
    each = max(1, cuts // len(calls))
    for moment, operation in calls:
        disk.do(operation, ignores_syncs)
        promised = [(path, text) for when, path, text in acknowledged if when < moment]
        for _ in range(each):
            try:
                check(disk.after_a_cut(chance), promised)
                harmless += 1
            except (AssertionError, ValueError) as found:
                harm = harm or f"after {operation[:2]}: {found}"
    return harmless, harm


def test_no_power_cut_damages_a_registry_or_loses_what_was_acknowledged(told):
    harmless, harm = cut(told, ignores_syncs=False, cuts=CUTS, seed=7)
    assert harm is None, harm
    assert harmless >= CUTS // 2


def test_the_same_cuts_damage_a_registry_that_does_not_sync(told):
    """The control: the simulation does find what is not safe."""
    _, harm = cut(told, ignores_syncs=True, cuts=500, seed=7)
    assert harm is not None
