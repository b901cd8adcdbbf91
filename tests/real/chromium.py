"""Chromium, driven over its DevTools protocol: pages are opened, clicked and typed into, and everything they do is noted.

The protocol runs over two pipes (`--remote-debugging-pipe`): messages of JSON, each ended by a zero byte. So there is no port to
find and no driver to install.
"""

import json
import os
import queue
import subprocess
import threading

ANSWER_TIMEOUT_S = 30
# As root, and without a display, a sandbox or anything of its own to fetch.
FLAGS = """--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-default-apps --disable-extensions --metrics-recording-only
--window-size=1400,2000 --remote-debugging-pipe""".split()


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
        # The protocol's pipes are descriptors 3 and 4 of the browser. A shell puts them there, since Python's own are elsewhere.
        command = ["sh", "-c", f'exec "$@" 3<&{command_read} 4>&{answer_write}', "sh"]
        command += ["chromium", *FLAGS, f"--user-data-dir={self.profile}"]
        with log:
            self.process = subprocess.Popen(command, stderr=log, pass_fds=(command_read, answer_write))
        os.close(command_read)
        os.close(answer_write)
        self._count = 0
        self._loaded = threading.Event()
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
                        self._note(message["method"], message["params"])

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
        elif event == "Audits.issueAdded":
            self.complaints.append(f"issue: {what['issue']}")

    def send(self, method, **parameters):
        """Runs a command of the protocol and gives its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        reply = self._replies.get(timeout=ANSWER_TIMEOUT_S)
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
