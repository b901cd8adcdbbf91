"""ResNet-50 with random weights (K. He and others, "Deep Residual Learning for Image Recognition", 2015, in its variant 1.5).

Batch normalization is folded into the convolutions, as it is in a network that was exported to be run.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graph import BATCH, Graph

SEED = 50


@dataclass(frozen=True)
class Size:
    # Blocks and inner channels of each stage; a block gives four times as many channels.
    stages: tuple[tuple[int, int], ...] = ((3, 64), (4, 128), (6, 256), (3, 512))
    # Height and width of the image.
    side: int = 224
    classes: int = 1000


def make(path: Path, size: Size = Size(), floats: type[np.floating] = np.float32) -> None:
    graph = Graph("resnet50", SEED, floats)
    channels = size.stages[0][1]
    x = graph.node("Relu", convolution(graph, "image", 3, channels, kernel=7, stride=2))
    x = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for stage, (blocks, inner) in enumerate(size.stages):
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 0 else 1
            x = bottleneck(graph, x, channels, inner, stride)
            channels = 4 * inner
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    weights = graph.normal(channels, size.classes, deviation=channels**-0.5)
    logits = graph.node("Gemm", x, weights, graph.filled(0, size.classes))
    inputs = {"image": (graph.float_type, (BATCH, 3, size.side, size.side))}
    graph.save(path, inputs, (logits, "logits", (BATCH, size.classes)))


def bottleneck(graph: Graph, x: str, channels: int, inner: int, stride: int) -> str:
    outer = 4 * inner
    shortcut = x if channels == outer else convolution(graph, x, channels, outer, kernel=1, stride=stride)
    y = graph.node("Relu", convolution(graph, x, channels, inner, kernel=1))
    y = graph.node("Relu", convolution(graph, y, inner, inner, kernel=3, stride=stride))
    # Smaller, so that sixteen sums do not let the numbers grow.
    y = convolution(graph, y, inner, outer, kernel=1, gain=0.3)
    return graph.node("Relu", graph.node("Add", y, shortcut))


def convolution(
    graph: Graph, x: str, channels: int, outer: int, kernel: int, stride: int = 1, gain: float = 1.0
) -> str:
    weights = graph.normal(outer, channels, kernel, kernel, deviation=gain * (2 / (channels * kernel**2)) ** 0.5)
    bias = graph.normal(outer, deviation=0.05)
    return graph.node(
        "Conv", x, weights, bias, kernel_shape=[kernel, kernel], strides=[stride, stride], pads=[kernel // 2] * 4
    )
