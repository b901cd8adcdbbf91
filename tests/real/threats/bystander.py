"""A well-behaved client in a process of its own, which must not notice that the server is under attack.

It scores all the time in three ways: over one HTTP/1.1 connection, over a new one for each request, and over HTTP/2.
"""

import http.client
import json
import subprocess
import sys
import threading
import time

import httpx

# Long enough for a machine that the attacker keeps busy, and shorter than anybody would wait.
ANSWER_MAX_S = 10
PAUSE_S = 0.01
WAYS = ("kept", "fresh", "http2")


class Bystander:
    """Runs while in its `with` block; at the end every request must have had its answer."""

    def __init__(self, server, path, body, expected):
        self._errand = {"address": server.host_and_port, "path": path, "body": body, "expected": expected}
        self.requests = 0
        self._phases = []

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._say(json.dumps(self._errand))
        assert self._process.stdout.readline() == "served\n", "the server does not serve a good client in peace"
        return self

    def next_phase(self):
        """From now on requests are timed apart from those before. Waits until one of each kind has been answered."""
        self._say("next phase")
        assert self._process.stdout.readline() == "served\n", "the good client ended early"

    def __exit__(self, kind, error, trace):
        answer, _ = self._process.communicate()
        if kind is not None:
            return
        told = json.loads(answer)
        self._phases = told["phases"]
        self.requests = sum(map(len, self._phases))
        assert told["errors"] == [], f"{len(told['errors'])} of {self.requests}: {told['errors'][:5]}"
        assert all(self._phases), "the good client came to do nothing"

    def _say(self, line):
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    @property
    def p99_ms(self):
        """Of each phase."""
        return [1000 * sorted(phase)[int(0.99 * len(phase))] for phase in self._phases]


class Client:
    """The other side: what runs in the process."""

    def __init__(self, errand):
        (self.host, self.port), self.path, self.body = errand["address"], errand["path"], errand["body"]
        self.expected = errand["expected"]
        self.phases, self.errors = [[]], []
        self._served = {way: threading.Event() for way in WAYS}
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(way,)) for way in WAYS]

    def begin(self):
        for thread in self._threads:
            thread.start()
        self._wait()

    def next_phase(self):
        self.phases.append([])
        self._wait()

    def _wait(self):
        """Waits until each way has been gone once more, well or badly."""
        for event in self._served.values():
            event.clear()
        for event in self._served.values():
            event.wait()

    def end(self):
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self, way):
        with Http2(self) if way == "http2" else Http1(self, is_kept=way == "kept") as connection:
            while not self._ended.wait(PAUSE_S):
                begun = time.monotonic()
                try:
                    status, content = connection.post()
                    if status != 200 or json.loads(content) != self.expected:
                        self.errors.append(f"{way}: {status} {content[:200]}")
                except (OSError, http.client.HTTPException, httpx.HTTPError) as error:
                    self.errors.append(f"{way}: {error!r}")
                    connection.close()
                self.phases[-1].append(time.monotonic() - begun)
                self._served[way].set()


class Http1:
    def __init__(self, client, is_kept):
        self._client, self._is_kept = client, is_kept
        self._connection = http.client.HTTPConnection(client.host, client.port, timeout=ANSWER_MAX_S)

    def post(self):
        self._connection.request("POST", self._client.path, self._client.body)
        answer = self._connection.getresponse()
        content = answer.read().decode()
        if not self._is_kept:
            self.close()
        return answer.status, content

    def close(self):
        self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Http2(httpx.Client):
    def __init__(self, client):
        super().__init__(http1=False, http2=True, timeout=ANSWER_MAX_S)
        self._uri, self._body = f"http://{client.host}:{client.port}{client.path}", client.body

    def post(self):
        answer = super().post(self._uri, content=self._body)
        return answer.status_code, answer.text

    def close(self):
        """httpx opens a new connection by itself."""


def main():
    client = Client(json.loads(sys.stdin.readline()))
    client.begin()
    print("served", flush=True)
    for _ in sys.stdin:
        client.next_phase()
        print("served", flush=True)
    client.end()
    json.dump({"phases": client.phases, "errors": client.errors}, sys.stdout)


if __name__ == "__main__":
    main()
