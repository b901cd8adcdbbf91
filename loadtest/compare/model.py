"""The models that are compared: where each lies, what a row of it looks like, and under which loads it is measured."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from compare.layout import BUNDLED_MODELS, MADE_MODELS

Feeds = dict[str, np.ndarray]
Encoding = Literal["json", "binary"]

# Of one model, so that no server lives from a cache. Each is one row.
BODIES = 8
SEED = 20261121


@dataclass(frozen=True)
class Cell:
    """One load: how the rows are encoded, and over how many connections they come, each with one request at a time."""

    encoding: Encoding
    connections: int

    @property
    def title(self) -> str:
        return f"{self.encoding}, {self.connections} connection{'s' if self.connections > 1 else ''}"


@dataclass(frozen=True)
class Model:
    name: str
    title: str
    path: Path
    row: Callable[[np.random.Generator], Feeds]
    cells: tuple[Cell, ...]
    seconds: float
    warm_up_seconds: float

    def rows(self) -> list[Feeds]:
        generator = np.random.default_rng(SEED)
        return [self.row(generator) for _ in range(BODIES)]


def numbers(name: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Callable[[np.random.Generator], Feeds]:
    """A row of floats with five decimals, as measurements and pixels are commonly written."""

    def row(generator: np.random.Generator) -> Feeds:
        return {name: generator.uniform(low, high, (1, *shape)).round(5).astype(np.float32)}

    return row


def tokens(ids: str, mask: str, types: str | None, length: int, vocabulary: int) -> Callable[[np.random.Generator], Feeds]:
    """A row of token ids without padding."""

    def row(generator: np.random.Generator) -> Feeds:
        feeds = {
            ids: generator.integers(1, vocabulary, (1, length), dtype=np.int64),
            mask: np.ones((1, length), np.int64),
        }
        if types is not None:
            feeds[types] = np.zeros((1, length), np.int64)
        return feeds

    return row


def bundled(name: str) -> Path:
    return BUNDLED_MODELS / name / "1" / "model.onnx"


def made(name: str) -> Path:
    return MADE_MODELS / f"{name}.onnx"


def cells(encoding: Encoding, *connections: int) -> tuple[Cell, ...]:
    return tuple(Cell(encoding, count) for count in connections)


MODELS = {
    model.name: model
    for model in (
        Model(
            "ridge",
            "linear regression, 10 floats",
            bundled("ridge"),
            numbers("features", 10, low=-2.0, high=2.0),
            cells("json", 1, 32, 128),
            seconds=0.8,
            warm_up_seconds=0.2,
        ),
        Model(
            "digits",
            "convolutional network, 1x28x28 floats",
            bundled("digits"),
            numbers("image", 1, 28, 28),
            cells("json", 32, 128),
            seconds=0.8,
            warm_up_seconds=0.2,
        ),
        Model(
            "gbt",
            "gradient-boosted trees, 30 floats, 100 trees of 31 leaves",
            made("gbt"),
            numbers("features", 30, low=-2.0, high=2.0),
            cells("json", 32),
            seconds=0.8,
            warm_up_seconds=0.2,
        ),
        Model(
            "encoder",
            "text encoder, 6 layers of width 384, 32 tokens",
            made("encoder"),
            tokens("input_ids", "attention_mask", "token_type_ids", 32, 30_522),
            cells("json", 8),
            seconds=1.2,
            warm_up_seconds=0.3,
        ),
        Model(
            "resnet50",
            "ResNet-50, 3x224x224 floats",
            made("resnet50"),
            numbers("image", 3, 224, 224),
            (*cells("json", 1, 8), *cells("binary", 1, 8)),
            seconds=1.5,
            warm_up_seconds=0.5,
        ),
        # Not among the defaults.
        Model(
            "text-encoder",
            "text encoder, 2 layers of width 64, 64 bytes",
            bundled("text-encoder"),
            tokens("input_ids", "attention_mask", None, 64, 257),
            cells("json", 1, 32),
            seconds=0.8,
            warm_up_seconds=0.2,
        ),
    )
}

DEFAULT_MODELS = ("ridge", "digits", "gbt", "encoder", "resnet50")
