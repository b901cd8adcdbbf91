"""The models: what makes each, what a row looks like, how far its answers may be from the processor's."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import encoder
import mlp
import resnet50

Feeds = dict[str, np.ndarray]
Shape = tuple[int, ...]

PRECISIONS: dict[str, type[np.floating]] = {"fp32": np.float32, "fp16": np.float16}
# Of the largest number that is expected. 32 bits without TF32 differ by the order of sums alone; 16 bits hold eleven
# bits of mantissa, and are rounded after every operator of up to a hundred.
TOLERANCES = {"fp32": 1e-3, "fp16": 2e-2}
TOKENS = 128
TOKENS_TINY = 8
SEED = 20261127


@dataclass(frozen=True)
class Input:
    name: str
    # Of one row.
    shape: Shape
    # Whole numbers from `low` up to `high`, which is not among them; or floats.
    low: float = -1.0
    high: float = 1.0
    is_integer: bool = False


@dataclass(frozen=True)
class Subject:
    name: str
    title: str
    precision: str
    inputs: tuple[Input, ...]
    maker: Callable[[Path, type[np.floating]], None]

    @property
    def full_name(self) -> str:
        return f"{self.name}-{self.precision}"

    @property
    def tolerance(self) -> float:
        return TOLERANCES[self.precision]

    @property
    def row_bytes(self) -> int:
        """What goes to the GPU for a row."""
        return sum(array.nbytes for array in self.rows(1).values())

    def make(self, folder: Path) -> Path:
        """The model's file, which is made if it is not there."""
        path = folder / f"{self.full_name}.onnx"
        if not path.exists():
            # One that was cut short must not be taken for a model.
            unfinished = path.with_suffix(".unfinished")
            self.maker(unfinished, PRECISIONS[self.precision])
            unfinished.replace(path)
        return path

    def rows(self, count: int, seed: int = SEED) -> Feeds:
        """So many rows, drawn from the seed."""
        random = np.random.default_rng(seed)
        return {described.name: self._draw(described, count, random) for described in self.inputs}

    def _draw(self, described: Input, count: int, random: np.random.Generator) -> np.ndarray:
        shape = (count, *described.shape)
        if described.is_integer:
            return random.integers(int(described.low), int(described.high), shape, dtype=np.int64)
        return random.uniform(described.low, described.high, shape).astype(PRECISIONS[self.precision])


def subjects(names: tuple[str, ...], precisions: tuple[str, ...], is_tiny: bool) -> list[Subject]:
    """Those of these names, in each precision; tiny ones have the same operators and hardly any weights."""
    made = tiny() if is_tiny else full()
    return [replace(made[name], precision=precision) for name in names for precision in precisions]


def full() -> dict[str, Subject]:
    return {
        "resnet50": residual("ResNet-50, 3x224x224", resnet50.Size()),
        "bert-base": bert(f"BERT-base, {TOKENS} tokens", encoder.BERT_BASE, TOKENS),
        "mlp": perceptron("multilayer perceptron, 1,024 floats, 4 layers of 4,096", mlp.Size()),
    }


def tiny() -> dict[str, Subject]:
    return {
        "resnet50": residual("two residual blocks, 3x32x32", resnet50.Size(((1, 8), (1, 16)), side=32, classes=10)),
        "bert-base": bert(
            f"two transformer layers, {TOKENS_TINY} tokens",
            encoder.Size(2, 32, 4, vocabulary=100, positions=32),
            TOKENS_TINY,
        ),
        "mlp": perceptron("multilayer perceptron, 16 floats, 2 layers of 32", mlp.Size(16, 2, 32, 4)),
    }


NAMES = ("resnet50", "bert-base", "mlp")


def residual(title: str, size: resnet50.Size) -> Subject:
    image = Input("image", (3, size.side, size.side))
    return Subject("resnet50", title, "fp32", (image,), lambda path, floats: resnet50.make(path, size, floats))


def bert(title: str, size: encoder.Size, tokens: int) -> Subject:
    inputs = (
        Input("input_ids", (tokens,), 1, size.vocabulary, is_integer=True),
        Input("attention_mask", (tokens,), 1, 2, is_integer=True),
        Input("token_type_ids", (tokens,), 0, 1, is_integer=True),
    )
    return Subject("bert-base", title, "fp32", inputs, lambda path, floats: encoder.make(path, size, floats))


def perceptron(title: str, size: mlp.Size) -> Subject:
    features = Input("features", (size.features,))
    return Subject("mlp", title, "fp32", (features,), lambda path, floats: mlp.make(path, size, floats))
