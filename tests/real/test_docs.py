"""Swagger UI at `/docs`, used in a real browser: it shows the document, takes a key, scores, and speaks to nobody else."""

import http.client
import http.server
import json
import threading
import urllib.parse

import pytest
from chromium import Browser

BODY = {"data": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}
PREFIX = "/below/a/path"


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path / "profile") as browser:
        yield browser


@pytest.fixture
def proxied():
    """Starts a proxy that serves a server below a path of its own: `proxied(server)` gives where."""
    proxies = []

    def start(server):
        host, port = server.host_and_port

        class Proxy(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                if not self.path.startswith(PREFIX + "/"):
                    self.send_error(404)
                    return
                behind = http.client.HTTPConnection(host, port, timeout=30)
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                behind.request(self.command, self.path.removeprefix(PREFIX), body, dict(self.headers))
                answer = behind.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer

            def log_message(self, *_):
                """Says nothing."""

        proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        proxies.append((proxy, thread))
        return f"http://127.0.0.1:{proxy.server_port}{PREFIX}"

    yield start
    for proxy, thread in proxies:
        proxy.shutdown()
        thread.join()
        proxy.server_close()


def open_page(browser, url):
    browser.open(url)
    browser.wait("document.querySelectorAll('.opblock').length > 2")


def authorize(browser, key):
    browser.click(".auth-wrapper .authorize")
    browser.type(".auth-container input", key)
    browser.click(".auth-container button.authorize")
    browser.click(".auth-container button.btn-done")


def execute(browser, operation, body):
    """Tries an operation out with a body (None: with the one that is proposed); gives the status and the JSON shown."""
    block = f"[id='operations-{operation}']"
    browser.click(f"{block} .opblock-summary-control")
    browser.click(f"{block} .try-out__btn")
    if body is not None:
        browser.type(f"{block} .body-param textarea", json.dumps(body))
        browser.wait(f"""document.querySelector("{block} .body-param textarea").value === {json.dumps(json.dumps(body))}""")
    browser.click(f"{block} .btn.execute")
    row = f"{block} .live-responses-table tbody .response"
    status = int(browser.text(f"{row} .response-col_status").split()[0])
    return status, json.loads(browser.text(f"{row} .response-col_description pre"))


def check_company(browser, origin):
    """Nothing was asked of anybody else, and nothing was complained of."""
    foreign = [url for url in browser.requests if not url.startswith((f"{origin}/", "data:"))]
    assert foreign == [] and browser.complaints == []


@pytest.mark.parametrize("page, operation", [
    ("/docs", "ridge-RunMLService_ridge"),
    ("/api/v1/service/ridge/docs", "default-RunMLService"),
])
def test_it_scores_with_a_key(serve, models, browser, page, operation):
    with serve(models, auth="key") as server:
        open_page(browser, server.base + page)
        assert browser.evaluate("document.querySelector('.version-stamp').textContent") == "OAS 3.1"
        authorize(browser, server.key("ridge"))
        status, answer = execute(browser, operation, BODY)
        assert status == 200 and answer[0][0] == pytest.approx(-307.94867, rel=1e-5)
        check_company(browser, server.base)
        kinds = {urllib.parse.urlsplit(url).path.rsplit(".", 1)[-1] for url in browser.requests if "/docs/" in url}
        assert kinds == {"js", "css", "png"}, "the page's own files came from here"


def test_the_body_it_proposes_is_valid(serve, models, browser):
    with serve(models / "ridge", auth="none") as server:
        open_page(browser, server.base + "/docs")
        status, answer = execute(browser, "ridge-RunMLService_ridge", None)
        sample = json.loads((models / "ridge" / "1" / "sample_output.json").read_text())
        assert status == 200 and answer[0][0] == pytest.approx(sample[0][0], rel=1e-4)
        check_company(browser, server.base)


def test_a_wrong_key_is_shown_as_401(serve, models, browser):
    with serve(models / "ridge", auth="key") as server:
        open_page(browser, server.base + "/docs")
        authorize(browser, "scoria_wrong")
        status, answer = execute(browser, "ridge-RunMLService_ridge", BODY)
        assert status == 401 and answer["error"]["code"] == "unknown_key"
        # The browser itself notes the refusal, and nothing else.
        assert [text for text in browser.complaints if "401" not in text] == []


@pytest.mark.parametrize("what", [
    "fetch('http://127.0.0.1:1/').catch(() => 'stopped')",
    "document.head.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = true'}))",
    "document.body.setAttribute('style', 'color: red')",
    "document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.1:1/image.png'}))",
])
def test_its_policy_stops_what_it_does_not_need(serve, models, browser, what):
    with serve(models / "ridge", auth="none") as server:
        open_page(browser, server.base + "/docs")
        check_company(browser, server.base)
        browser.evaluate(f"void ({what})")
        browser.wait_for_complaint("Content Security Policy")
        assert browser.evaluate("window.ran") is None
        assert [url for url in browser.statuses if "127.0.0.1:1/" in url] == []


@pytest.mark.parametrize("page, operation", [
    ("/docs", "ridge-RunMLService_ridge"),
    ("/api/v1/service/ridge/docs", "default-RunMLService"),
])
def test_it_works_below_a_path_behind_a_proxy(serve, models, browser, proxied, page, operation):
    with serve(models / "ridge", auth="key") as server:
        base = proxied(server)
        open_page(browser, base + page)
        authorize(browser, server.key("ridge"))
        status, answer = execute(browser, operation, BODY)
        assert status == 200 and answer[0][0] == pytest.approx(-307.94867, rel=1e-5)
        assert browser.statuses[f"{base}/api/v1/service/ridge/score"] == 200
        check_company(browser, base)
