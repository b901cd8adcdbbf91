"""Makes the models that are too large to be kept in the repository: `python loadtest/models/make.py [NAME…]`.

They have random weights, or are fitted to random numbers, from fixed seeds: what is measured is the work and not the answer. Every
input and output has a first dim named "batch". They go to loadtest/.models/, which git ignores; what is there already is kept.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import encoder
import gbt
import resnet50

FOLDER = Path(__file__).resolve().parent.parent / ".models"
MAKERS: dict[str, Callable[[Path], None]] = {"gbt": gbt.make, "encoder": encoder.make, "resnet50": resnet50.make}


def main() -> None:
    names = sys.argv[1:] or list(MAKERS)
    unknown = set(names) - MAKERS.keys()
    if unknown:
        sys.exit(f"make.py: there is no model {', '.join(sorted(unknown))}; there are {', '.join(MAKERS)}")
    FOLDER.mkdir(exist_ok=True)
    for name in names:
        path = FOLDER / f"{name}.onnx"
        if path.exists():
            continue
        # One that was cut short must not be taken for a model.
        unfinished = path.with_suffix(".unfinished")
        MAKERS[name](unfinished)
        os.replace(unfinished, path)
        print(f"made {path.name}, {path.stat().st_size:,} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
