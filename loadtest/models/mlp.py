"""A multilayer perceptron with random weights: 1,024 floats, four layers of width 4,096, 128 numbers out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graph import BATCH, Graph

SEED = 4096


@dataclass(frozen=True)
class Size:
    features: int = 1024
    layers: int = 4
    width: int = 4096
    outputs: int = 128


def make(path: Path, size: Size = Size(), floats: type[np.floating] = np.float32) -> None:
    graph = Graph("mlp", SEED, floats)
    x, width = "features", size.features
    for _ in range(size.layers):
        x, width = graph.node("Relu", dense(graph, x, width, size.width)), size.width
    inputs = {"features": (graph.float_type, (BATCH, size.features))}
    graph.save(path, inputs, (dense(graph, x, width, size.outputs), "scores", (BATCH, size.outputs)))


def dense(graph: Graph, x: str, width: int, outer: int) -> str:
    return graph.node("Gemm", x, graph.normal(width, outer, deviation=(2 / width) ** 0.5), graph.filled(0, outer))
