"""The entry script of Azure ML's own inference server: `init` once, `run` for each body."""

import json
from typing import Any

import numpy as np

from scorer import Scorer

scorer: Scorer


def init() -> None:
    global scorer
    scorer = Scorer()


def run(raw_data: str) -> Any:
    answer = scorer.answer(scorer.run(scorer.feeds(json.loads(raw_data))))
    if isinstance(answer, np.ndarray):
        return answer.tolist()
    return {name: array.tolist() for name, array in answer.items()}
