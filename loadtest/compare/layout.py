"""Where things lie in the repository. What is made here is ignored by git."""

from pathlib import Path

LOADTEST = Path(__file__).resolve().parent.parent
ROOT = LOADTEST.parent
# A folder for each server, and what they share.
PEERS = LOADTEST / "peers"
BUNDLED_MODELS = ROOT / "models"
RESULTS = LOADTEST / "results"
# The models that loadtest/models/make.py makes.
MADE_MODELS = LOADTEST / ".models"
# An environment for each peer, and the servers' logs.
ENVIRONMENTS = LOADTEST / ".peers"
LOGS = ENVIRONMENTS / "logs"
# Where cargo puts the programs of the workspace.
PROGRAMS = ROOT / "target" / "release"
