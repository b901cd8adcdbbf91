"""The same models run by ONNX Runtime's own Python package, in this process: what the answers must be."""

import ctypes

import numpy as np
import onnxruntime
from onnx import TensorProto

from zoo import BFLOAT16

onnxruntime.set_default_logger_severity(4)


class Refused(Exception):
    """The runtime does not load or not run it."""


class Reference:
    """A loaded model."""

    def __init__(self, model):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise Refused(str(error)) from error
        self.inputs = [value.name for value in self._session.get_inputs()]
        self.outputs = [value.name for value in self._session.get_outputs()]
        values = [*self._session.get_inputs(), *self._session.get_outputs()]
        self._has_bfloat16 = any("bfloat16" in value.type for value in values)

    def run(self, feed):
        """The outputs by name: arrays, lists of these (sequences), or lists of dicts (ZipMap)."""
        try:
            if self._has_bfloat16:
                return self._run_values(feed)
            return dict(zip(self.outputs, self._session.run(None, feed)))
        except Exception as error:
            raise Refused(str(error)) from error

    def _run_values(self, feed):
        # NumPy has no bfloat16, so the package cannot take or give it except as memory.
        def lend(array):
            if array.dtype != BFLOAT16:
                return onnxruntime.OrtValue.ortvalue_from_numpy(array)
            bits = np.ascontiguousarray(array).view(np.uint16)
            return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(
                bits.reshape(array.shape), TensorProto.BFLOAT16
            )

        def take(value):
            if "bfloat16" not in value.data_type():
                return value.numpy()
            shape = tuple(value.shape())
            memory = ctypes.string_at(value.data_ptr(), 2 * int(np.prod(shape))) if np.prod(shape) else b""
            return np.frombuffer(memory, dtype=BFLOAT16).reshape(shape)

        values = self._session.run_with_ort_values(None, {name: lend(array) for name, array in feed.items()})
        return {name: take(value) for name, value in zip(self.outputs, values)}
