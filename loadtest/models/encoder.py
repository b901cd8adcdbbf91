"""A text encoder of the size of MiniLM with random weights: 6 layers of width 384, 12 heads.

Its output is the mean over the tokens that are not padding. Post-norm transformer
layers as in BERT (J. Devlin and others, 2018).
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto

from graph import BATCH, Graph

SEED = 384
LAYERS = 6
WIDTH = 384
HEADS = 12
INNER = 4 * WIDTH
VOCABULARY = 30_522
POSITIONS = 512
SEQUENCE = "sequence"


def make(path: Path) -> None:
    graph = Graph("encoder", SEED)
    mask = graph.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    x = embedding(graph)
    bias = attention_bias(graph, mask)
    for _ in range(LAYERS):
        x = normalized(graph, graph.node("Add", x, attention(graph, x, bias)))
        x = normalized(graph, graph.node("Add", x, feed_forward(graph, x)))
    tokens = (BATCH, SEQUENCE)
    inputs = {name: (TensorProto.INT64, tokens) for name in ("input_ids", "attention_mask", "token_type_ids")}
    graph.save(path, inputs, (mean_of_tokens(graph, x, mask), "embedding", (BATCH, WIDTH)))


def integers(graph: Graph, *values: int) -> str:
    return graph.constant(np.array(values, np.int64))


def embedding(graph: Graph) -> str:
    words = graph.node("Gather", graph.normal(VOCABULARY, WIDTH, deviation=0.5), "input_ids")
    types = graph.node("Gather", graph.normal(2, WIDTH, deviation=0.5), "token_type_ids")
    # As many positions as there are tokens. Range and Gather would do, but ONNX Runtime was seen to turn them into a
    # Slice that fails.
    length = graph.node("Shape", "input_ids", start=1, end=2)
    positions = graph.node(
        "Slice", graph.normal(POSITIONS, WIDTH, deviation=0.5), integers(graph, 0), length, integers(graph, 0)
    )
    return normalized(graph, graph.node("Add", graph.node("Add", words, types), positions))


def attention_bias(graph: Graph, mask: str) -> str:
    """Zero for a token, and far below zero for padding, in the shape of the attention's scores."""
    absent = graph.node("Sub", graph.constant(np.array(1, np.float32)), mask)
    bias = graph.node("Mul", absent, graph.constant(np.array(-10_000, np.float32)))
    return graph.node("Unsqueeze", bias, integers(graph, 1, 2))


def dense(graph: Graph, x: str, width: int, outer: int) -> str:
    product = graph.node("MatMul", x, graph.normal(width, outer, deviation=width**-0.5))
    return graph.node("Add", product, graph.normal(outer, deviation=0.02))


def heads(graph: Graph, x: str, order: list[int]) -> str:
    split = graph.node("Reshape", x, integers(graph, 0, 0, HEADS, WIDTH // HEADS))
    return graph.node("Transpose", split, perm=order)


def attention(graph: Graph, x: str, bias: str) -> str:
    query = heads(graph, dense(graph, x, WIDTH, WIDTH), [0, 2, 1, 3])
    key = heads(graph, dense(graph, x, WIDTH, WIDTH), [0, 2, 3, 1])
    value = heads(graph, dense(graph, x, WIDTH, WIDTH), [0, 2, 1, 3])
    scale = graph.constant(np.array((WIDTH // HEADS) ** -0.5, np.float32))
    scores = graph.node("Add", graph.node("Mul", graph.node("MatMul", query, key), scale), bias)
    mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
    joined = graph.node("Reshape", graph.node("Transpose", mixed, perm=[0, 2, 1, 3]), integers(graph, 0, 0, WIDTH))
    return dense(graph, joined, WIDTH, WIDTH)


def feed_forward(graph: Graph, x: str) -> str:
    return dense(graph, gelu(graph, dense(graph, x, WIDTH, INNER)), INNER, WIDTH)


def gelu(graph: Graph, x: str) -> str:
    """x/2 (1 + erf(x/√2)); the operator of this name came with opset 20."""
    erf = graph.node("Erf", graph.node("Div", x, graph.constant(np.array(2**0.5, np.float32))))
    one_more = graph.node("Add", erf, graph.constant(np.array(1, np.float32)))
    return graph.node("Mul", graph.node("Mul", x, one_more), graph.constant(np.array(0.5, np.float32)))


def normalized(graph: Graph, x: str) -> str:
    scale = graph.constant(np.ones(WIDTH, np.float32))
    bias = graph.constant(np.zeros(WIDTH, np.float32))
    return graph.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-12)


def mean_of_tokens(graph: Graph, x: str, mask: str) -> str:
    weights = graph.node("Unsqueeze", mask, integers(graph, 2))
    total = graph.node("ReduceSum", graph.node("Mul", x, weights), integers(graph, 1), keepdims=0)
    return graph.node("Div", total, graph.node("ReduceSum", weights, integers(graph, 1), keepdims=0))
