"""What ONNX Runtime answers, called directly; every server's answers are held against it before anything is measured."""

import numpy as np
import onnxruntime

from compare.body import Form, decode
from compare.model import Feeds, Model

# Rows that share a run are added up in another order than a row alone.
RELATIVE_TOLERANCE = 1e-3


class WrongAnswer(Exception):
    """A server answered with something else than the model does."""


class Reference:
    def __init__(self, model: Model) -> None:
        session = onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
        self.outputs = [value.name for value in session.get_outputs()]
        self.rows = model.rows()
        self.expected = [self._run(session, row) for row in self.rows]

    def _run(self, session: onnxruntime.InferenceSession, row: Feeds) -> dict[str, np.ndarray]:
        return dict(zip(self.outputs, session.run(self.outputs, row), strict=True))

    def check(self, form: Form, index: int, answer: bytes) -> None:
        """Refuses an answer to row `index` that is not the model's."""
        try:
            got = decode(form, answer, self.outputs)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WrongAnswer(f"row {index}: {answer[:120]!r} cannot be read as an answer: {error!r}") from error
        for name, expected in self.expected[index].items():
            check_tensor(f"row {index}, output {name}", expected, got.get(name))


def check_tensor(place: str, expected: np.ndarray, got: np.ndarray | None) -> None:
    if got is None:
        raise WrongAnswer(f"{place}: is missing")
    if got.ndim == 1 and got.size == expected.size:
        got = got.reshape(expected.shape)
    if got.shape != expected.shape:
        raise WrongAnswer(f"{place}: expected the shape {expected.shape}, got {got.shape}")
    if got.dtype.kind not in "fiu":
        raise WrongAnswer(f"{place}: expected numbers, got {got.dtype}")
    allowed = RELATIVE_TOLERANCE * max(float(np.abs(expected).max()), 1e-6)
    off_by = float(np.abs(got.astype(np.float64) - expected).max())
    if not off_by <= allowed:
        raise WrongAnswer(f"{place}: differs from ONNX Runtime by {off_by:.3g}, more than {allowed:.3g}")
