"""A small server for the tests, as a peer is: it answers rows, rightly or with the fault that FAULT names."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from scorer import Scorer

FAULT = os.environ["FAULT"]
scorer = Scorer()


class Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = scorer.answer(scorer.run(scorer.feeds(request))).tolist()
        if FAULT == "wrong":
            answer = [[value + 1 for value in row] for row in answer]
        body = json.dumps(answer).encode()
        self.send_response(500 if FAULT == "refuses" and self.server.answered else 200)
        self.server.answered += 1
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if FAULT == "ends":
    sys.exit("the model is not to my taste")
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer)
server.answered = 0
server.serve_forever()
