"""A text encoder with random weights, by default of the size of MiniLM: 6 layers of width 384, 12 heads.

Its output is the mean over the tokens that are not padding. Post-norm transformer
layers as in BERT (J. Devlin and others, 2018).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto

from graph import BATCH, Graph

SEED = 384
SEQUENCE = "sequence"


@dataclass(frozen=True)
class Size:
    layers: int = 6
    width: int = 384
    heads: int = 12
    vocabulary: int = 30_522
    positions: int = 512

    @property
    def inner(self) -> int:
        return 4 * self.width


BERT_BASE = Size(layers=12, width=768)


def make(path: Path, size: Size = Size(), floats: type[np.floating] = np.float32) -> None:
    graph = Graph("encoder", SEED, floats)
    mask = graph.node("Cast", "attention_mask", to=graph.float_type)
    x = embedding(graph, size)
    bias = attention_bias(graph, mask)
    for _ in range(size.layers):
        x = normalized(graph, graph.node("Add", x, attention(graph, x, bias, size)), size.width)
        x = normalized(graph, graph.node("Add", x, feed_forward(graph, x, size)), size.width)
    tokens = (BATCH, SEQUENCE)
    inputs = {name: (TensorProto.INT64, tokens) for name in ("input_ids", "attention_mask", "token_type_ids")}
    graph.save(path, inputs, (mean_of_tokens(graph, x, mask), "embedding", (BATCH, size.width)))


def integers(graph: Graph, *values: int) -> str:
    return graph.constant(np.array(values, np.int64))


def embedding(graph: Graph, size: Size) -> str:
    words = graph.node("Gather", graph.normal(size.vocabulary, size.width, deviation=0.5), "input_ids")
    types = graph.node("Gather", graph.normal(2, size.width, deviation=0.5), "token_type_ids")
    # As many positions as there are tokens. Range and Gather would do, but ONNX Runtime was seen to turn them into a
    # Slice that fails.
    length = graph.node("Shape", "input_ids", start=1, end=2)
    table = graph.normal(size.positions, size.width, deviation=0.5)
    positions = graph.node("Slice", table, integers(graph, 0), length, integers(graph, 0))
    return normalized(graph, graph.node("Add", graph.node("Add", words, types), positions), size.width)


def attention_bias(graph: Graph, mask: str) -> str:
    """Zero for a token, and far below zero for padding, in the shape of the attention's scores."""
    absent = graph.node("Sub", graph.number(1), mask)
    bias = graph.node("Mul", absent, graph.number(-10_000))
    return graph.node("Unsqueeze", bias, integers(graph, 1, 2))


def dense(graph: Graph, x: str, width: int, outer: int) -> str:
    product = graph.node("MatMul", x, graph.normal(width, outer, deviation=width**-0.5))
    return graph.node("Add", product, graph.normal(outer, deviation=0.02))


def heads(graph: Graph, x: str, size: Size, order: list[int]) -> str:
    split = graph.node("Reshape", x, integers(graph, 0, 0, size.heads, size.width // size.heads))
    return graph.node("Transpose", split, perm=order)


def attention(graph: Graph, x: str, bias: str, size: Size) -> str:
    width = size.width
    query = heads(graph, dense(graph, x, width, width), size, [0, 2, 1, 3])
    key = heads(graph, dense(graph, x, width, width), size, [0, 2, 3, 1])
    value = heads(graph, dense(graph, x, width, width), size, [0, 2, 1, 3])
    scale = graph.number((width // size.heads) ** -0.5)
    scores = graph.node("Add", graph.node("Mul", graph.node("MatMul", query, key), scale), bias)
    mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
    joined = graph.node("Reshape", graph.node("Transpose", mixed, perm=[0, 2, 1, 3]), integers(graph, 0, 0, width))
    return dense(graph, joined, width, width)


def feed_forward(graph: Graph, x: str, size: Size) -> str:
    return dense(graph, gelu(graph, dense(graph, x, size.width, size.inner)), size.inner, size.width)


def gelu(graph: Graph, x: str) -> str:
    """x/2 (1 + erf(x/√2)); the operator of this name came with opset 20."""
    erf = graph.node("Erf", graph.node("Div", x, graph.number(2**0.5)))
    one_more = graph.node("Add", erf, graph.number(1))
    return graph.node("Mul", graph.node("Mul", x, one_more), graph.number(0.5))


def normalized(graph: Graph, x: str, width: int) -> str:
    scale = graph.filled(1, width)
    bias = graph.filled(0, width)
    return graph.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-12)


def mean_of_tokens(graph: Graph, x: str, mask: str) -> str:
    weights = graph.node("Unsqueeze", mask, integers(graph, 2))
    total = graph.node("ReduceSum", graph.node("Mul", x, weights), integers(graph, 1), keepdims=0)
    return graph.node("Div", total, graph.node("ReduceSum", weights, integers(graph, 1), keepdims=0))
