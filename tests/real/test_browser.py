"""A page in a real browser scores across origins if the operator allows its origin, and not otherwise."""

import functools
import http.server
import json
import re
import subprocess
import threading

import pytest

PAGE = """<!doctype html>
<title>scoring</title>
<p id="outcome">waiting</p>
<script>
const outcome = document.getElementById("outcome");
const request = {
    method: "POST",
    headers: {"Authorization": "Bearer %(key)s", "Content-Type": "application/json"},
    body: JSON.stringify({data: [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}),
};
fetch("%(uri)s", request)
    .then(async (answer) => {
        const id = answer.headers.get("x-request-id");
        outcome.textContent = JSON.stringify({status: answer.status, id, body: await answer.json()});
    })
    .catch((error) => { outcome.textContent = "blocked: " + error.name; });
</script>
"""

# As root, and without a display, a sandbox or anything of its own to fetch.
FLAGS = """--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-default-apps --disable-extensions --metrics-recording-only
--virtual-time-budget=10000 --timeout=20000 --dump-dom""".split()


@pytest.fixture
def site(tmp_path):
    """A web server of another origin: its folder and its origin."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


def outcome_of_page(server, site, key, tmp_path):
    """What the page shows in the end."""
    folder, origin = site
    (folder / "index.html").write_text(PAGE % {"uri": server.score_uri("ridge"), "key": key})
    command = ["chromium", *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"{origin}/index.html"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    shown = re.search(r'<p id="outcome">(.*?)</p>', done.stdout, re.S)
    assert shown, f"chromium ended with {done.returncode}:\n{done.stderr[-2000:]}"
    return shown.group(1)


def test_a_page_of_an_allowed_origin_scores(serve, models, site, tmp_path):
    with serve(models / "ridge", auth="key", cors_origins=site[1]) as server:
        outcome = json.loads(outcome_of_page(server, site, server.key("ridge"), tmp_path))
        assert outcome["status"] == 200 and outcome["id"], outcome
        sample = json.loads((models / "ridge" / "1" / "sample_output.json").read_text())
        assert outcome["body"][0][0] == pytest.approx(sample[0][0], rel=1e-4)


def test_an_allowed_page_sees_why_it_is_refused(serve, models, site, tmp_path):
    with serve(models / "ridge", auth="key", cors_origins=site[1]) as server:
        outcome = json.loads(outcome_of_page(server, site, "wrong", tmp_path))
        assert outcome["status"] == 401 and outcome["body"]["error"]["code"] == "unknown_key", outcome


@pytest.mark.parametrize("origins", ["", "http://127.0.0.1:1"])
def test_a_page_of_another_origin_is_blocked(serve, models, site, tmp_path, origins):
    with serve(models / "ridge", auth="key", cors_origins=origins) as server:
        assert outcome_of_page(server, site, server.key("ridge"), tmp_path) == "blocked: TypeError"
