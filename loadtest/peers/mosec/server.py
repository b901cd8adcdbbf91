"""mosec: its Rust front, one Python worker process behind it, and its dynamic batching."""

import os
from typing import Any

import orjson
from mosec import Server, Worker

from scorer import Feeds, Scorer


class Model(Worker):
    def __init__(self) -> None:
        super().__init__()
        self.scorer = Scorer()

    def deserialize(self, data: bytes) -> Feeds:
        return self.scorer.feeds(orjson.loads(data))

    def forward(self, data: list[Feeds]) -> list[Any]:
        return [self.scorer.answer(arrays) for arrays in self.scorer.run_joined(data)]

    def serialize(self, data: Any) -> bytes:
        return orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Model, num=int(os.environ["WORKERS"]), max_batch_size=32, max_wait_time=1)
    server.run()
