"""FastAPI and uvicorn, by hand: the plain Python server that a careful engineer would write.

orjson in both directions, no validation by models, no thread pool between the request and the session, and as many processes as
the comparison says.
"""

import orjson
from fastapi import FastAPI, Request, Response

from scorer import Scorer

scorer = Scorer()
app = FastAPI()


@app.post("/score")
async def score(request: Request) -> Response:
    feeds = scorer.feeds(orjson.loads(await request.body()))
    answer = scorer.answer(scorer.run(feeds))
    return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")
