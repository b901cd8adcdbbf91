"""The commands of a person at a registry."""

import json
import os
import subprocess


class Desk:
    """A registry in a folder, and who works on it."""

    def __init__(self, folder):
        self.registry = folder / "registry"
        self.environment = {**os.environ, "SCORIA_REGISTRY": str(self.registry), "SCORIA_STATE_DIR": str(folder / "desk")}

    def run(self, *arguments):
        command = [os.environ["SCORIA_BIN"], *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
