"""A server that can be measured: what `loadtest/peers/<name>/peer.toml` says of it.

Scoria and the bare server are described in the same way. Text in braces is filled in when the server is started: {port},
{second_port}, {third_port}, {model}, {folder} (of peer.toml), {bin} (of the peer's environment), {programs} (of this workspace),
{scratch} (a folder of its own), {cores}, {workers}, {threads}.
"""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare.body import ENCODING_OF_FORM, Form
from compare.layout import ENVIRONMENTS, PEERS
from compare.model import Encoding

SCORIA = "scoria"
BARE = "bare"

KEYS = {
    "title", "package", "path", "forms", "command", "environment", "system_python", "bearer_file", "answers", "tuning",
}  # fmt: skip
# What `answers` may say: that answers need not be right.
NOTHING = "nothing"
TUNING_KEYS = {"workers", "threads"}
CORES = os.sched_getaffinity(0)


class BadPeer(Exception):
    """A peer's description cannot be used."""


@dataclass(frozen=True)
class Tuning:
    """Processes that hold the model, and the threads of one run in each."""

    workers: int
    threads: int


# By identity: its tables cannot be hashed.
@dataclass(frozen=True, eq=False)
class Peer:
    name: str
    title: str
    # Whose version is reported; None for what this repository builds.
    package: str | None
    path: str
    forms: tuple[Form, ...]
    command: tuple[str, ...]
    environment: dict[str, str]
    # The release of the system's own Python that it needs; None where the comparison's own will do.
    system_python: str | None
    bearer_file: str | None
    # False for the bare server, which knows no model.
    scores: bool
    tunings: dict[str, Tuning]

    @property
    def folder(self) -> Path:
        return PEERS / self.name

    @property
    def requirements(self) -> Path:
        return self.folder / "requirements.txt"

    @property
    def venv(self) -> Path:
        return ENVIRONMENTS / self.name

    def form(self, encoding: Encoding) -> Form | None:
        """The form in which it takes rows so encoded, if it does."""
        return next((form for form in self.forms if ENCODING_OF_FORM[form] == encoding), None)

    def tuning(self, model: str) -> Tuning:
        return self.tunings.get(model, self.tunings["default"])


def load(name: str) -> Peer:
    path = PEERS / name / "peer.toml"
    if not path.exists():
        raise BadPeer(f"there is no peer '{name}'; there are {', '.join(names())}")
    return parse(name, tomllib.loads(path.read_text()))


def names() -> list[str]:
    """Of all that have a folder, Scoria and the bare server first."""
    found = sorted(path.parent.name for path in PEERS.glob("*/peer.toml"))
    return [SCORIA, BARE, *(name for name in found if name not in (SCORIA, BARE))]


def parse(name: str, raw: dict[str, Any]) -> Peer:
    refuse_unknown(name, raw, KEYS)
    missing = {"title", "path", "forms", "command"} - raw.keys()
    if missing:
        raise BadPeer(f"peer '{name}': {', '.join(sorted(missing))} must be given in its peer.toml")
    unknown_forms = set(raw["forms"]) - ENCODING_OF_FORM.keys()
    if unknown_forms:
        raise BadPeer(f"peer '{name}': expected forms out of {', '.join(ENCODING_OF_FORM)}, got {unknown_forms}")
    if raw.get("answers", NOTHING) != NOTHING:
        raise BadPeer(f"peer '{name}': expected answers = \"{NOTHING}\", or none of it; got {raw['answers']!r}")
    return Peer(
        name=name,
        title=raw["title"],
        package=raw.get("package"),
        path=raw["path"],
        forms=tuple(raw["forms"]),
        command=tuple(raw["command"]),
        environment=raw.get("environment", {}),
        system_python=raw.get("system_python"),
        bearer_file=raw.get("bearer_file"),
        scores="answers" not in raw,
        tunings=parse_tunings(name, raw.get("tuning", {})),
    )


def parse_tunings(name: str, raw: dict[str, dict[str, int | str]]) -> dict[str, Tuning]:
    """`[tuning.default]`, and what differs from it for one model."""
    default = {"workers": 1, "threads": 1, **raw.get("default", {})}
    tunings = {}
    for model, table in {"default": {}, **raw}.items():
        refuse_unknown(name, table, TUNING_KEYS)
        tunings[model] = Tuning(**{key: count(name, value) for key, value in {**default, **table}.items()})
    return tunings


def count(name: str, value: int | str) -> int:
    if value == "cores":
        return len(CORES)
    if isinstance(value, int) and value > 0:
        return value
    raise BadPeer(f"peer '{name}': expected a number of workers or threads, or \"cores\", got {value!r}")


def refuse_unknown(name: str, table: dict[str, Any], known: set[str]) -> None:
    unknown = table.keys() - known
    if unknown:
        raise BadPeer(f"peer '{name}': unknown {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
