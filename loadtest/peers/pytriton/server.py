"""PyTriton: NVIDIA's Triton on the processor, with its dynamic batcher in front of a Python callable."""

import os
import signal
import sys

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from scorer import DTYPES, Scorer

scorer = Scorer()


def tensors(values: list) -> list[Tensor]:
    """Without the first dim, which is the batch's; -1 is a dim of any size."""
    return [
        Tensor(
            name=value.name,
            dtype=DTYPES[value.type],
            shape=tuple(dim if isinstance(dim, int) else -1 for dim in value.shape[1:]),
        )
        for value in values
    ]


@batch
def infer(**feeds: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(scorer.outputs, scorer.run(feeds), strict=True))


# It leaves its shared memory behind if it is ended without notice.
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
config = TritonConfig(
    http_address="127.0.0.1",
    http_port=int(os.environ["PORT"]),
    grpc_address="127.0.0.1",
    grpc_port=int(os.environ["SECOND_PORT"]),
    metrics_address="127.0.0.1",
    metrics_port=int(os.environ["THIRD_PORT"]),
)
with Triton(config=config) as triton:
    triton.bind(
        model_name="model",
        infer_func=[infer] * int(os.environ["WORKERS"]),
        inputs=tensors(scorer.session.get_inputs()),
        outputs=tensors(scorer.session.get_outputs()),
        config=ModelConfig(batching=True, max_batch_size=32, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
    )
    triton.serve()
