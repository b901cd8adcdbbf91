"""The model behind a peer: one ONNX Runtime session, and JSON rows in and out of it.

Every peer's server uses it, so that they differ in how they serve and in nothing else. It is found through PYTHONPATH and needs
only numpy and onnxruntime, which each peer's own environment has. The comparison says through the environment what to load:
MODEL is the file, THREADS the threads of one run.
"""

import os
from typing import Any

import numpy as np
import onnxruntime

DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}

Feeds = dict[str, np.ndarray]


class Scorer:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["THREADS"])
        options.inter_op_num_threads = 1
        # Several servers share the machine in turn, and a thread that spins between two runs is counted as this peer's work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
        self.dtypes = {value.name: DTYPES[value.type] for value in self.session.get_inputs()}
        self.inputs = list(self.dtypes)
        self.outputs = [value.name for value in self.session.get_outputs()]

    def feeds(self, request: dict[str, Any]) -> Feeds:
        """The tensors of `{"data": rows}` for a model of one input, of `{name: rows, …}` for one of several."""
        if len(self.inputs) == 1:
            (name,) = self.inputs
            return {name: np.asarray(request["data"], self.dtypes[name])}
        return {name: np.asarray(request[name], dtype) for name, dtype in self.dtypes.items()}

    def run(self, feeds: Feeds) -> list[np.ndarray]:
        return self.session.run(self.outputs, feeds)

    def answer(self, arrays: list[np.ndarray]) -> Any:
        """What is answered: the one output bare, several by name."""
        return arrays[0] if len(arrays) == 1 else dict(zip(self.outputs, arrays, strict=True))

    def run_joined(self, requests: list[Feeds]) -> list[list[np.ndarray]]:
        """Runs the rows of several requests as one batch; the outputs of each request."""
        joined = {name: np.concatenate([feeds[name] for feeds in requests]) for name in self.inputs}
        counts = [len(feeds[self.inputs[0]]) for feeds in requests]
        cuts = np.cumsum(counts)[:-1]
        parts = [np.split(array, cuts) for array in self.run(joined)]
        return [list(of_request) for of_request in zip(*parts, strict=True)]
