"""The models that are compared: where each lies, what a row of it looks like, and under which loads it is measured."""

from collections.abc import Callable
from dataclasses import dataclass, replace
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
    # How long it is measured in each round, and how long it runs before at least.
    seconds: float
    warm_up_seconds: float

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

    def measured_for(self, seconds: float) -> "Model":
        """The same, with each load measured for so long."""
        return replace(self, cells=tuple(replace(cell, seconds=seconds) for cell in self.cells))

    def rows(self) -> list[Feeds]:
        generator = np.random.default_rng(SEED)
        return [self.row(generator) for _ in range(BODIES)]


def numbers(name: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Callable[[np.random.Generator], Feeds]:
    """A row of floats with five decimals, as measurements and pixels are commonly written."""

    def row(generator: np.random.Generator) -> Feeds:
        return {name: generator.uniform(low, high, (1, *shape)).round(5).astype(np.float32)}

    return row


def tokens(
    ids: str, mask: str, types: str | None, length: int, vocabulary: int
) -> Callable[[np.random.Generator], Feeds]:
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


def short(*connections: int) -> tuple[Cell, ...]:
    """For models of which thousands of rows a second are answered."""
    return tuple(Cell("json", count, seconds=0.5, warm_up_seconds=0.12) for count in connections)


def long(encoding: Encoding) -> tuple[Cell, ...]:
    """For models of which some servers answer ten rows a second."""
    return (
        Cell(encoding, 1, seconds=0.9, warm_up_seconds=0.2),
        Cell(encoding, 8, seconds=2.0, warm_up_seconds=0.4),
    )


MODELS = {
    model.name: model
    for model in (
        Model(
            "ridge",
            "linear regression, 10 floats",
            bundled("ridge"),
            numbers("features", 10, low=-2.0, high=2.0),
            short(1, 32, 128),
        ),
        Model(
            "digits",
            "convolutional network, 1x28x28 floats",
            bundled("digits"),
            numbers("image", 1, 28, 28),
            short(32, 128),
        ),
        Model(
            "gbt",
            "gradient-boosted trees, 30 floats, 100 trees of 31 leaves",
            made("gbt"),
            numbers("features", 30, low=-2.0, high=2.0),
            short(32),
        ),
        Model(
            "encoder",
            "text encoder, 6 layers of width 384, 32 tokens",
            made("encoder"),
            tokens("input_ids", "attention_mask", "token_type_ids", 32, 30_522),
            (Cell("json", 8, seconds=1.0, warm_up_seconds=0.25),),
        ),
        Model(
            "resnet50",
            "ResNet-50, 3x224x224 floats",
            made("resnet50"),
            numbers("image", 3, 224, 224),
            (*long("json"), *long("binary")),
        ),
        # Not among the defaults.
        Model(
            "text-encoder",
            "text encoder, 2 layers of width 64, 64 bytes",
            bundled("text-encoder"),
            tokens("input_ids", "attention_mask", None, 64, 257),
            short(1, 32),
        ),
    )
}

DEFAULT_MODELS = ("ridge", "digits", "gbt", "encoder", "resnet50")
