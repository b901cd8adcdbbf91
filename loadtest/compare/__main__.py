"""`python -m compare`: installs the peers, measures model after model, and writes the results after each."""

import datetime
import math
import signal
import sys
from pathlib import Path

from compare import report, results
from compare.contest import Contest, say
from compare.installation import CannotInstall, install
from compare.layout import PROGRAMS
from compare.machine import this_machine
from compare.peer import BARE, SCORIA, Peer
from compare.plan import Plan, parser, plan

# A server's start and its checks, roughly.
START_S = 3


def main() -> int:
    # By default Python would end at once, and leave the servers behind, most of them stopped.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    arguments = parser().parse_args()
    if arguments.report is not None:
        print(render(results.read(arguments.report), arguments.report.parent))
        return 0
    return compare(plan(arguments))


def compare(plan: Plan) -> int:
    missing = [str(path) for path in needed(plan) if not path.exists()]
    if missing:
        print(f"compare: {', '.join(missing)} must be made before; `make compare` does", file=sys.stderr)
        return 1
    peers = {peer: installed(peer) for peer in plan.peers}
    say(f"about {math.ceil(minutes(plan, peers))} min from here")
    now = datetime.datetime.now(datetime.UTC)
    found = results.Results(now.isoformat(timespec="seconds"), this_machine())
    for model in plan.models:
        found.models.append(Contest(model, peers, plan.rounds).run())
        path = found.write(plan.output)
        tables = render(found, plan.output)
        say(f"{model.name}: written to {path} and {tables}")
    failed = {SCORIA, BARE} & {server.name for model in found.models for server in model.servers if server.failure}
    return 1 if failed else 0


def installed(peer: Peer) -> str | None:
    try:
        install(peer)
    except CannotInstall as error:
        say(f"{peer.name} is out: {error}")
        return f"not installed: {error}"
    return None


def needed(plan: Plan) -> list[Path]:
    return [*(PROGRAMS / name for name in ("scoria", "bare", "loadtest")), *(model.path for model in plan.models)]


def minutes(plan: Plan, peers: dict[Peer, str | None]) -> float:
    """What is known of it beforehand: the measurements, with their warm-ups, and the starts."""
    seconds = 0.0
    running = [peer for peer, failure in peers.items() if failure is None]
    for model in plan.models:
        for cell in model.cells:
            speaking = [peer for peer in running if peer.form(cell.encoding) is not None]
            seconds += plan.rounds * len(speaking) * (cell.seconds + 1.5 * cell.warm_up_seconds)
        seconds += START_S * len(running)
    return seconds / 60


def render(found: results.Results, folder: Path) -> Path:
    path = folder / f"{found.stem}.md"
    path.write_text(report.render(found))
    return path


if __name__ == "__main__":
    sys.exit(main())
