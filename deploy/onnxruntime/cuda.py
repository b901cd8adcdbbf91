#!/usr/bin/env python3
"""What the CUDA and TensorRT providers of the pinned ONNX Runtime need of a machine, and where it is.

    cuda.py           a line for each library: found, or how to get it; and what to set so that it is used
    cuda.py --path    only the folders of those that the loader would not find by itself, as for LD_LIBRARY_PATH

Looked at are the folders of LD_LIBRARY_PATH, the system's, and the packages of the Python that runs this.
"""

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Some systems keep it where only root looks.
LDCONFIGS = ("ldconfig", "/sbin/ldconfig", "/usr/sbin/ldconfig")


@dataclass(frozen=True)
class Library:
    name: str
    # How to get it: a package of PyPI, or None for what comes with the driver.
    package: str | None


DRIVER = (Library("libcuda.so.1", None), Library("libnvidia-ml.so.1", None))
CUDA = (
    Library("libcudart.so.13", "nvidia-cuda-runtime"),
    Library("libcublas.so.13", "nvidia-cublas"),
    Library("libcublasLt.so.13", "nvidia-cublas"),
    Library("libcurand.so.10", "nvidia-curand"),
    Library("libcufft.so.12", "nvidia-cufft"),
    Library("libnvrtc.so.13", "nvidia-cuda-nvrtc"),
    Library("libcudnn.so.9", "nvidia-cudnn-cu13"),
)
TENSORRT = (
    Library("libnvinfer.so.10", "tensorrt-cu13-libs<11"),
    Library("libnvonnxparser.so.10", "tensorrt-cu13-libs<11"),
)


def loader_folders() -> list[Path]:
    """Those of LD_LIBRARY_PATH. The loader takes an empty one for the working directory; this does not."""
    return [Path(folder) for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]


def package_folders() -> list[Path]:
    """Where NVIDIA's packages keep their libraries, in this Python's environment."""
    roots = [Path(root) for root in sys.path if root]
    return [folder for root in roots for folder in (*sorted(root.glob("nvidia/*/lib")), root / "tensorrt_libs")]


def system_libraries() -> dict[str, Path]:
    """What the loader's cache has."""
    for program in LDCONFIGS:
        try:
            listed = subprocess.run([program, "-p"], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            continue
        # "\tlibc.so.6 (libc6,x86-64) => /lib/x86_64-linux-gnu/libc.so.6"
        lines = [line.split() for line in listed.splitlines() if " => " in line]
        return {words[0]: Path(words[-1]) for words in lines}
    return {}


@dataclass(frozen=True)
class Place:
    folder: Path
    # Whether the loader finds it there without being told.
    is_known: bool


def find(library: Library) -> Place | None:
    for folder in loader_folders():
        if (folder / library.name).exists():
            return Place(folder, True)
    found = system_libraries().get(library.name)
    if found is not None:
        return Place(found.parent, True)
    for folder in package_folders():
        if (folder / library.name).exists():
            return Place(folder, False)
    return None


def to_set(places: list[Place | None]) -> str:
    """What LD_LIBRARY_PATH lacks."""
    return ":".join(dict.fromkeys(str(place.folder) for place in places if place is not None and not place.is_known))


def report(title: str, libraries: tuple[Library, ...]) -> tuple[list[str], list[Library]]:
    """The lines on these libraries, and which are missing."""
    lines, missing = [f"{title}:"], []
    for library in libraries:
        place = find(library)
        if place is None:
            missing.append(library)
        lines.append(f"  {library.name:24} {'missing' if place is None else place.folder}")
    packages = list(dict.fromkeys(library.package for library in missing if library.package is not None))
    if packages:
        quoted = " ".join(f"'{package}'" if "<" in package else package for package in packages)
        lines.append(f"  get what is missing from your system's packages, or: python3 -m pip install {quoted}")
    elif missing:
        lines.append(
            "  install NVIDIA's driver, 580 or later; in a container, start it with the host's (docker run --gpus all)"
        )
    return lines, missing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", action="store_true", help="only what to add to LD_LIBRARY_PATH")
    path = to_set([find(library) for library in (*CUDA, *TENSORRT)])
    if parser.parse_args().path:
        print(path)
        return 0
    driver, no_driver = report("The driver", DRIVER)
    cuda, no_cuda = report("CUDA 13 and cuDNN 9, for --providers cuda", CUDA)
    tensorrt, no_tensorrt = report("TensorRT 10 as well, for --providers tensorrt", TENSORRT)
    print("\n".join([*driver, *cuda, *tensorrt]))
    if path:
        print(
            "Some lie where the loader does not look. Start the server with:\n"
            f'  export LD_LIBRARY_PATH="{path}:$LD_LIBRARY_PATH"'
        )
    if no_driver or no_cuda:
        print("This machine cannot run models by CUDA yet. docs/gpu.md goes through it.")
    else:
        providers = "cuda,cpu" if no_tensorrt else "tensorrt,cuda,cpu"
        print(f'All is there: make serve ARGS="--providers {providers}"')
    return 0


if __name__ == "__main__":
    sys.exit(main())
