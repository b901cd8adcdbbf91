"""A server as the kernel sees it: a process and all that it started. They are stopped, resumed, weighed and ended together."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Stat:
    """The fields of /proc/PID/stat that are used here (proc(5))."""

    pid: int
    state: str
    parent: int
    session: int
    rss_pages: int


@dataclass(frozen=True)
class Memory:
    # Pages that several processes share are counted for each of them.
    rss_bytes: int
    # Each gets its share of those.
    pss_bytes: int


def stat_of(pid: int) -> Stat | None:
    """None for a process that has gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets, and may hold anything.
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(pid, fields[0], int(fields[1]), int(fields[3]), int(fields[21]))


class ProcessTree:
    """The descendants of `leader`, which leads a session, and whoever else is in that session."""

    def __init__(self, leader: int) -> None:
        self.leader = leader

    def members(self) -> list[Stat]:
        """Parents before their children. A process that was given up by its parent is found by its session."""
        found = [stat_of(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdigit()]
        alive = {stat.pid: stat for stat in found if stat is not None and stat.state not in "ZX"}
        children: dict[int, list[Stat]] = {}
        for stat in alive.values():
            children.setdefault(stat.parent, []).append(stat)
        roots = [stat for stat in alive.values() if stat.pid == self.leader or stat.session == self.leader]
        roots.sort(key=lambda stat: stat.pid != self.leader)
        ordered: dict[int, Stat] = {}
        waiting = roots
        while waiting:
            ordered.update((stat.pid, stat) for stat in waiting if stat.pid not in ordered)
            waiting = [child for stat in waiting for child in children.get(stat.pid, []) if child.pid not in ordered]
        return list(ordered.values())

    def freeze(self) -> None:
        """Stops all of it. Parents first: one that watches over its children must not find them stopped."""
        self._signal(signal.SIGSTOP, [stat.pid for stat in self.members()])

    def thaw(self) -> None:
        """Resumes all of it, children first, for the same reason."""
        self._signal(signal.SIGCONT, [stat.pid for stat in reversed(self.members())])

    def kill(self) -> None:
        self._signal(signal.SIGKILL, [stat.pid for stat in self.members()])

    def memory(self) -> Memory:
        members = self.members()
        return Memory(
            rss_bytes=sum(stat.rss_pages for stat in members) * PAGE_BYTES,
            pss_bytes=sum(pss_bytes(stat.pid) for stat in members),
        )

    @staticmethod
    def _signal(number: signal.Signals, pids: list[int]) -> None:
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


def pss_bytes(pid: int) -> int:
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    (line,) = [line for line in text.splitlines() if line.startswith("Pss:")]
    return int(line.split()[1]) * 1024
