"""BentoML: one service with one worker, no adaptive batching; tensors come and go as JSON."""

import os
from typing import Any

import bentoml
import numpy as np

from scorer import Scorer


@bentoml.service(
    workers=int(os.environ["WORKERS"]),
    traffic={"timeout": 60},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Model:
    def __init__(self) -> None:
        self.scorer = Scorer()

    @bentoml.api(route="/score")
    async def score(self, request: dict[str, Any], /) -> Any:
        answer = self.scorer.answer(self.scorer.run(self.scorer.feeds(request)))
        if isinstance(answer, np.ndarray):
            return answer.tolist()
        return {name: array.tolist() for name, array in answer.items()}
