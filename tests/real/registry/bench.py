"""A registry on this machine, and commands about it."""

import hashlib
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
MODEL = ROOT / "models" / "ridge" / "1"

# Of whoever runs the tests, and none of theirs.
FOREIGN = ("SCORIA_", "AWS_", "AZURE_", "AZURITE_", "GOOGLE_")


class Bench:
    """Runs the program against one registry."""

    def __init__(self, state, registry, **variables):
        self.registry = str(registry)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self.environment = kept | {
            "SCORIA_STATE_DIR": str(state),
            "SCORIA_REGISTRY": self.registry,
            "SCORIA_ENGINE": "tract",
        }
        self.environment |= variables

    def command(self, *arguments):
        return [os.environ["SCORIA_BIN"], *map(str, arguments)]

    def start(self, *arguments, before=()):
        return subprocess.Popen(
            [*before, *self.command(*arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments, before=()):
        """The exit code, and what was said."""
        process = self.start(*arguments, before=before)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def ask(self, *arguments):
        """What a command prints that has to succeed."""
        code, out, err = self.run(*arguments)
        assert code == 0, f"{arguments}: {err}"
        return json.loads(out)

    def register(self, name="ridge", *arguments):
        return self.ask("register", name, MODEL, *arguments)


def check(read, acknowledged):
    """Holds a registry to its promises. `read` maps the paths of its objects to their bytes.

    `acknowledged` lists the paths that have to be there, each with a text that it has to hold.
    """
    objects = {path: data for path, data in read.items() if "#" not in path.rsplit("/", 1)[-1]}
    documents = {}
    for path, data in objects.items():
        if path.startswith(("models/", "endpoints/")):
            documents[path] = json.loads(data)
    for path, document in documents.items():
        folder, name = path.rsplit("/", 1)
        if name == "manifest.json":
            model, version = document["name"], document["version"]
            assert folder == f"models/{model}/{version}", path
            assert version == 1 or f"models/{model}/{version - 1}/manifest.json" in documents, f"a gap before {path}"
            if is_deleted(documents, folder):
                continue
            samples = [document[key] for key in ("sample_input", "sample_output") if document.get(key)]
            for file in document["files"] + samples + document.get("golden", []):
                blob = objects.get(f"blobs/sha256/{file['sha256']}")
                assert blob is not None, f"{path} names {file['path']}, whose bytes are not there"
                assert hashlib.sha256(blob).hexdigest() == file["sha256"], f"{file['path']} of {path} is damaged"
        else:
            number = int(name.removesuffix(".json"))
            assert document["revision"] == number, path
            assert number == 1 or f"{folder}/{number - 1:010}.json" in documents, f"a gap before {path}"
    for path, text in acknowledged:
        assert path in objects, f"{path} was acknowledged and is not there"
        assert text in objects[path].decode(), f"{path} was acknowledged with {text}"


def is_deleted(documents, folder):
    revisions = sorted(path for path in documents if path.startswith(f"{folder}/meta/"))
    return bool(revisions) and documents[revisions[-1]]["body"]["deleted"]


def objects_of(folder):
    """What lies in a registry on a disk."""
    folder = pathlib.Path(folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
