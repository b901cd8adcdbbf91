"""What runs the models: an execution provider, as Scoria and ONNX Runtime's Python package are told of it."""

import ctypes
from dataclasses import dataclass
from typing import Any

from gpu.subject import Subject

PYTHON_NAMES = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


@dataclass(frozen=True)
class Provider:
    name: str
    # The list that the server gets. It names nothing to fall back to but what the provider itself needs.
    server_list: str
    # Whether the server records its runs and replays them.
    is_recorded: bool = False

    @property
    def title(self) -> str:
        return f"{self.name}, runs recorded" if self.is_recorded else self.name

    @property
    def python_name(self) -> str:
        return PYTHON_NAMES[self.name]

    def server_flags(self, subject: Subject, rows_max: int) -> list[str]:
        """For `scoria serve`: the provider, and the same options as ONNX Runtime's Python package gets, which records nothing."""
        options = [
            f"{name}.{key}={value}"
            for name, listed in self._options(subject, rows_max).items()
            for key, value in listed.items()
        ]
        if self.is_recorded:
            options.append("cuda.enable_cuda_graph=1")
        return ["--providers", self.server_list, *(["--provider-options", ",".join(options)] if options else [])]

    def python_list(self, subject: Subject, rows_max: int) -> list[Any]:
        """For `onnxruntime.InferenceSession`."""
        options = self._options(subject, rows_max)
        return [(PYTHON_NAMES[name], listed) for name, listed in options.items()] or [self.python_name]

    def _options(self, subject: Subject, rows_max: int) -> dict[str, dict[str, str]]:
        """By the names of the providers. TF32 is off: it is not what 32 bits promise."""
        match self.name:
            case "tensorrt":
                fp16 = str(int(subject.precision == "fp16"))
                return {"tensorrt": {"trt_fp16_enable": fp16, **profile(subject, rows_max)}, "cuda": {"use_tf32": "0"}}
            case "cuda":
                return {"cuda": {"use_tf32": "0"}}
            case _:
                return {}


def profile(subject: Subject, rows_max: int) -> dict[str, str]:
    """The shapes that an engine is built for: one row, and up to the largest batch, for which it is made best."""

    def shapes(rows: int) -> str:
        texts = [f"{described.name}:{'x'.join(map(str, (rows, *described.shape)))}" for described in subject.inputs]
        return ",".join(texts)

    return {
        "trt_profile_min_shapes": shapes(1),
        "trt_profile_opt_shapes": shapes(rows_max),
        "trt_profile_max_shapes": shapes(rows_max),
    }


CPU = Provider("cpu", "cpu")
CUDA = Provider("cuda", "cuda")
RECORDED = Provider("cuda", "cuda", is_recorded=True)
TENSORRT = Provider("tensorrt", "tensorrt,cuda")
# What TensorRT's provider is linked to.
TENSORRT_LIBRARIES = ("libnvinfer.so.10", "libnvonnxparser.so.10")


def missing_for_tensorrt() -> str | None:
    """Why TensorRT cannot be measured, or None."""
    for library in TENSORRT_LIBRARIES:
        try:
            ctypes.CDLL(library)
        except OSError as error:
            return f"not present: {error}"
    return None
