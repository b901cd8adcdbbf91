"""LitServe with its batching: one worker process behind one process that speaks HTTP. A request carries one row."""

import os
from typing import Any

import litserve
import numpy as np

from scorer import Feeds, Scorer


class Model(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.scorer = Scorer()

    def decode_request(self, request: dict[str, Any], **_: Any) -> Feeds:
        return self.scorer.feeds(request)

    def batch(self, inputs: list[Feeds]) -> list[Feeds]:
        return inputs

    def predict(self, x: list[Feeds], **_: Any) -> list[list[np.ndarray]]:
        return self.scorer.run_joined(x)

    def unbatch(self, output: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
        return output

    def encode_response(self, output: list[np.ndarray], **_: Any) -> Any:
        answer = self.scorer.answer(output)
        if isinstance(answer, np.ndarray):
            return answer.tolist()
        return {name: array.tolist() for name, array in answer.items()}


if __name__ == "__main__":
    api = Model(max_batch_size=32, batch_timeout=0.001, api_path="/score")
    server = litserve.LitServer(
        api, accelerator="cpu", devices=1, workers_per_device=int(os.environ["WORKERS"]), timeout=60
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
