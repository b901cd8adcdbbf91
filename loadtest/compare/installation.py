"""A peer's own environment: made once from its pins, and made again when they change."""

import os
import shutil
import subprocess
import sys

from compare.layout import LOGS
from compare.peer import Peer

INSTALL_TIMEOUT_S = 600


class CannotInstall(Exception):
    """A peer's packages could not be installed."""


def install(peer: Peer) -> None:
    if not peer.requirements.exists():
        return
    # Says that the installation was finished, and from which pins.
    mark = peer.venv / "installed.txt"
    pins = peer.requirements.read_text()
    if mark.exists() and mark.read_text() == pins:
        return
    print(f"installing {peer.name}", file=sys.stderr, flush=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"install-{peer.name}.log"
    with log.open("wb") as out:
        steps = (
            [interpreter(peer), "-m", "venv", "--clear", str(peer.venv)],
            [str(peer.venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--requirement", str(peer.requirements)],
        )  # fmt: skip
        for step in steps:
            try:
                done = subprocess.run(step, stdout=out, stderr=out, timeout=INSTALL_TIMEOUT_S)
            except subprocess.TimeoutExpired as error:
                raise CannotInstall(f"took longer than {INSTALL_TIMEOUT_S} s, see {log}") from error
            if done.returncode != 0:
                raise CannotInstall(last_line(log.read_text(errors="replace")) or f"see {log}")
    mark.write_text(pins)


def interpreter(peer: Peer) -> str:
    if peer.system_python is None:
        return sys.executable
    # Not from PATH, where a Python built by hand may come first.
    found = shutil.which(f"python{peer.system_python}", path=os.defpath)
    if found is None:
        raise CannotInstall(
            f"needs the system's own Python {peer.system_python} (apt-get install python{peer.system_python}-venv)"
        )
    return found


def version(peer: Peer) -> str | None:
    """What is installed, by its package's own account."""
    if peer.package is None:
        return None
    program = f"from importlib.metadata import version; print(version({peer.package!r}))"
    command = [str(peer.venv / "bin" / "python"), "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
