"""Chromium, driven over its DevTools protocol: pages are opened, clicked and typed into, and everything they do is noted.

The protocol runs over two pipes (`--remote-debugging-pipe`): messages of JSON, each ended by a zero byte. So there is no port to
find and no driver to install.
"""

import json
import os
import queue
import subprocess
import sys
import threading

ANSWER_TIMEOUT_S = 30
# As root, and without a display, a sandbox or anything of its own to fetch.
FLAGS = """--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-default-apps --disable-extensions --metrics-recording-only
--window-size=1400,2000 --remote-debugging-pipe""".split()

# The protocol's pipes are descriptors 3 and 4 of the browser. Python's own may be these very numbers, so they move out of the way.
LAUNCH = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(pipe), fcntl.F_DUPFD, 10) for pipe in sys.argv[1:3]]
os.dup2(pipes[0], 3), os.dup2(pipes[1], 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A browser with one page. Use it in a `with` block."""

    def __init__(self, profile):
        self.profile = profile
        # What the page did, in the words of the protocol.
        self.requests = []
        self.statuses = {}
        self.complaints = []

    def __enter__(self):
        command_read, self._commands = os.pipe()
        self._answers, answer_write = os.pipe()
        log = open(f"{self.profile}.log", "wb")
        command = [sys.executable, "-c", LAUNCH, str(command_read), str(answer_write)]
        command += ["chromium", *FLAGS, f"--user-data-dir={self.profile}"]
        with log:
            self.process = subprocess.Popen(command, stderr=log, pass_fds=(command_read, answer_write))
        os.close(command_read)
        os.close(answer_write)
        self._count = 0
        self._loaded = threading.Event()
        self._noted = threading.Condition()
        self._session = None
        self._replies = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        # Violations of a page's policy are reported as issues.
        for domain in ("Page", "Network", "Runtime", "Log", "Audits"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self._session = None
        self.send("Browser.close")
        self.process.wait(ANSWER_TIMEOUT_S)
        self._reader.join()
        os.close(self._commands)

    def _read(self):
        with open(self._answers, "rb") as answers:
            rest = b""
            while chunk := answers.read1():
                *messages, rest = (rest + chunk).split(b"\0")
                for message in map(json.loads, messages):
                    if "id" in message:
                        self._replies.put(message)
                    else:
                        with self._noted:
                            self._note(message["method"], message["params"])
                            self._noted.notify_all()

    def _note(self, event, what):
        if event == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
        elif event == "Page.loadEventFired":
            self._loaded.set()
        elif event == "Network.responseReceived":
            self.statuses[what["response"]["url"]] = what["response"]["status"]
        elif event == "Network.loadingFailed":
            self.complaints.append(f"not loaded: {what['errorText']}")
        elif event == "Log.entryAdded" and what["entry"]["level"] in ("warning", "error"):
            self.complaints.append(f"{what['entry']['source']}: {what['entry']['text']} {what['entry'].get('url')}")
        elif event == "Runtime.consoleAPICalled" and what["type"] in ("warning", "error", "assert"):
            self.complaints.append(f"console: {[said.get('value', said.get('description')) for said in what['args']]}")
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(f"exception: {what['exceptionDetails']}")
        # Generic issues are advice on forms and history.
        elif event == "Audits.issueAdded" and what["issue"]["code"] != "GenericIssue":
            self.complaints.append(f"issue: {what['issue']}")

    def send(self, method, **parameters):
        """Runs a command of the protocol and gives its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        try:
            reply = self._replies.get(timeout=ANSWER_TIMEOUT_S)
        except queue.Empty:
            with open(f"{self.profile}.log") as log:
                raise AssertionError(f"no answer to {method}; chromium said:\n{log.read()[-2000:]}") from None
        assert reply["id"] == self._count and "error" not in reply, f"{method}: {reply}"
        return reply["result"]

    def open(self, url):
        """Goes to a page and waits until it has loaded."""
        self._loaded.clear()
        self.send("Page.navigate", url=url)
        assert self._loaded.wait(ANSWER_TIMEOUT_S), f"{url} did not load: {self.complaints}"

    def evaluate(self, expression):
        """The value of a JavaScript expression; of a promise, what becomes of it."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, f"{expression}: {found}\n{self.complaints}"
        return found["result"].get("value")

    def wait(self, expression):
        """The value of an expression once it is true, looked at whenever the page is drawn."""
        return self.evaluate("""new Promise((done, fail) => {
            const look = () => {
                const found = %s;
                if (found) { done(found); }
                else if (performance.now() > end) { fail(new Error("not so: " + document.body.innerText.slice(0, 3000))); }
                else { requestAnimationFrame(look); }
            };
            const end = performance.now() + %d;
            look();
        })""" % (expression, ANSWER_TIMEOUT_S * 1000 * 2 // 3))

    def wait_for_complaint(self, words):
        """Waits until the browser has complained of something in these words."""
        with self._noted:
            heard = self._noted.wait_for(lambda: any(words in text for text in self.complaints), ANSWER_TIMEOUT_S)
        assert heard, f"nothing of '{words}' among {self.complaints}"

    def click(self, selector):
        self.wait(f"document.querySelector({json.dumps(selector)}) !== null")
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def type(self, selector, text):
        """Puts a text where another was, as if it had been typed."""
        self.wait(f"document.querySelector({json.dumps(selector)}) !== null")
        self.evaluate(f"(field => {{ field.focus(); field.select(); }})(document.querySelector({json.dumps(selector)}))")
        self.send("Input.insertText", text=text)

    def text(self, selector):
        """The text of an element, once there is one."""
        return self.wait(f"document.querySelector({json.dumps(selector)})?.textContent")
