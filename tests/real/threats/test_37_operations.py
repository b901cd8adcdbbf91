"""Threats 22, 26 and 37 at the admin port of a registry: keys, names, bodies, and changes that meet."""

import concurrent.futures
import json
import secrets
import socket
import time

import pytest
import requests

from desk import Desk
from refusals import check_error
from scoria_server import wait_until

# What changes something, with a body that would.
CHANGES = {
    "endpoints/house/deploy": {"model": "row:1", "name": "forged"},
    "endpoints/house/update": {"deployment": "blue", "model": "row:2"},
    "endpoints/house/traffic": {"shares": {"blue": 1}},
    "endpoints/house/mirror": {"shares": {"blue": 1}},
    "endpoints/house/rollback": {},
    "endpoints/house/promote": {},
    "endpoints/house/abort": {},
    "endpoints/house/follow": {"follow": {"model": "row"}},
    "endpoints/house/delete": {},
    "endpoints/house/keys/rotate": {"slot": "primary"},
    "models/row/1/tag": {"tags": {"stage": "forged"}},
    "models/row/2/archive": {},
    "models/row/2/restore": {},
    "models/row/2/delete": {},
}
READS = ("endpoints", "endpoints/house", "endpoints/house/history", "endpoints/house/keys", "endpoints/house/ab")
READS += ("models", "models/row", "models/row/1")

ODD_NAMES = ["..", ".", "%2e%2e", "..%2f..%2fetc", "%2fetc%2fpasswd", "a%00b", "a%2f..%2fb", "Row", "rоw", "a" * 65]
ODD_NAMES += ["-row", "row%20", "row;x", "row%0d%0ax:y", "%252e%252e", "CON%5c"]

# As long as a body may be, and the time that it may take.
BODY_BYTES_MAX = 64 * 1024
BODY_TIME_MAX_S = 10


class Site:
    """A server of a registry with two versions of a model and two endpoints, and everybody's keys."""

    def __init__(self, server, desk, keys):
        self.server, self.desk, self.keys = server, desk, keys
        self.admin_key = (server.state_dir / "admin.primary.key").read_text().strip()

    def ask(self, method, path, key=None, timeout=10, **kwargs):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers |= kwargs.pop("headers", {})
        # Sent as it is written: a client that tidies a path up attacks nobody.
        request = requests.Request(method, "http://x/", headers=headers, **kwargs).prepare()
        request.url = f"{self.server.admin}/api/v1/{path}"
        with requests.Session() as session:
            return session.send(request, timeout=timeout)

    def change(self, path, body, **kwargs):
        return self.ask("POST", path, kwargs.pop("key", self.admin_key), json=body, **kwargs)

    def everything(self):
        """What is in the registry, but for what servers say of themselves."""
        files = [path for path in self.desk.registry.rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in files if "status" not in path.relative_to(self.desk.registry).parts}


@pytest.fixture
def site(serve, row_model, tmp_path):
    desk = Desk(tmp_path)
    desk.run("register", "row", row_model)
    desk.run("register", "row", row_model)
    keys = {name: desk.run("deploy", "row:1", "-e", name)["keys"] for name in ("house", "other")}
    with serve(auth="key", registry=desk.registry, registry_poll_interval_ms=20) as server:
        yield Site(server, desk, keys)


def test_nobody_changes_or_reads_a_registry_without_the_admin_key(site):
    before = site.everything()
    strangers = {
        None: 401,
        f"scoria_{secrets.token_urlsafe(32)}": 401,
        site.admin_key[:-1]: 401,
        site.admin_key + "x": 401,
        site.admin_key.lower(): 401,
        site.keys["house"]["primary"]: 403,
        site.keys["house"]["secondary"]: 403,
        site.keys["other"]["primary"]: 403,
    }
    for key, status in strangers.items():
        for path, body in CHANGES.items():
            answer = site.change(path, body, key=key)
            assert answer.status_code == status, (key, path, answer.text)
            check_error(answer.content)
        for path in READS:
            answer = site.ask("GET", path, key)
            assert answer.status_code == status, (key, path, answer.text)
    # In the query, in a cookie or as a password, the admin key is none.
    key = site.admin_key
    ways = [{"cookies": {"key": key}}, {"headers": {"Authorization": f"Basic {key}"}}, {"headers": {"x-api-key": key}}]
    for way in ways:
        assert site.ask("POST", "endpoints/house/traffic", json={"shares": {}}, **way).status_code == 401, way
    assert site.ask("POST", f"endpoints/house/traffic?key={key}&access_token={key}", json={}).status_code == 401
    assert site.everything() == before
    # The same with the key does what it says.
    assert site.change("endpoints/house/traffic", {"shares": {"blue": 100}}).status_code == 200


def test_a_key_that_was_replaced_opens_nothing_any_more(site):
    def score(key):
        headers = {"Authorization": f"Bearer {key}"}
        answer = requests.post(site.server.score_uri("house"), headers=headers, json={"data": [[1.0] * 10]}, timeout=10)
        return answer.status_code

    old = site.keys["house"]["primary"]
    assert (score(old), score(site.keys["other"]["primary"])) == (200, 403)
    fresh = site.change("endpoints/house/keys/rotate", {"slot": "primary"}).json()["key"]
    wait_until(lambda: score(fresh) == 200, what="the new key")
    assert (score(old), score(site.keys["house"]["secondary"])) == (401, 200)
    assert site.change("endpoints/house/traffic", {"shares": {}}, key=old).status_code == 401


def test_names_lead_nowhere_but_to_what_is_called_so(site, tmp_path):
    outside = {path for path in tmp_path.rglob("*") if site.desk.registry not in path.parents and "state" not in str(path)}
    before = site.everything()
    for name in ODD_NAMES:
        paths = [f"endpoints/{name}", f"endpoints/{name}/history", f"models/{name}", f"models/row/{name}"]
        for path in paths:
            answer = site.ask("GET", path, site.admin_key)
            assert answer.status_code in (400, 404), (path, answer.status_code, answer.text[:200])
        for path, body in CHANGES.items():
            odd = path.replace("house", name).replace("row", name)
            answer = site.change(odd, body)
            assert answer.status_code in (400, 404), (odd, answer.status_code, answer.text[:200])
        named = [
            ("endpoints/house/deploy", {"model": name}),
            ("endpoints/house/deploy", {"model": f"row:{name}"}),
            ("endpoints/house/deploy", {"model": "row:1", "name": name}),
            ("endpoints/house/update", {"deployment": name, "model": "row:2"}),
            ("endpoints/house/traffic", {"shares": {name: 1}}),
            ("endpoints/house/follow", {"follow": {"model": name}}),
            ("endpoints/house/delete", {"deployment": name}),
        ]
        for path, body in named:
            answer = site.change(path, body)
            assert answer.status_code in (400, 404), (path, body, answer.text[:200])
    assert site.everything() == before
    after = {path for path in tmp_path.rglob("*") if site.desk.registry not in path.parents and "state" not in str(path)}
    assert after == outside


def test_bodies_that_are_too_long_too_slow_or_something_else_are_refused(site):
    path = "endpoints/house/traffic"
    before = site.everything()
    send = lambda body, kind="application/json": site.ask(  # noqa: E731
        "POST", path, site.admin_key, data=body, headers={"Content-Type": kind}
    )
    assert send(b" " * (BODY_BYTES_MAX + 1)).status_code == 413
    assert send(iter([b" " * 1024] * 1024)).status_code == 413, "not announced"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", ""):
        assert send(b'{"shares": {}}', kind).status_code == 415, kind
    odd = ["{", "[]", "null", "1", '{"shares": []}', '{"shares": {"blue": 1e999}}', '{"shares": {"blue": -1}}']
    odd += ['{"shares": {}, "extra": 1}', '{"shares": {}, "shares": {}}', "\xff", "[" * 10_000, '{"shares": {"blue": 100.001}}']
    for body in odd:
        answer = send(body.encode("latin1"))
        assert answer.status_code == 400, (body[:60], answer.status_code, answer.text[:200])
    # Others are answered while one takes its time, and that one is not waited for.
    host, port = site.server.admin.partition("://")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=3 * BODY_TIME_MAX_S) as slow:
        head = f"POST /api/v1/{path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {site.admin_key}\r\n"
        slow.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{{".encode())
        begun = time.monotonic()
        assert site.ask("GET", "endpoints/house", site.admin_key, timeout=2).status_code == 200
        answer = slow.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408 "), answer
        assert time.monotonic() - begun < 2 * BODY_TIME_MAX_S
    assert site.everything() == before


def test_what_is_in_use_is_not_deleted(site):
    refused = site.change("models/row/1/delete", {})
    assert refused.status_code == 412 and "endpoint house, endpoint other" in refused.json()["error"]["message"], refused.text
    assert site.change("endpoints/house/delete", {"deployment": "blue"}).status_code == 412, "it answers"
    assert site.change("endpoints/other/delete", {}).status_code == 200
    assert site.change("endpoints/house/update", {"deployment": "blue", "model": "row:2"}).status_code == 200
    # What a rollback could bring back is in use, too.
    refused = site.change("models/row/1/delete", {})
    assert refused.status_code == 412 and "house" in refused.json()["error"]["message"], refused.text
    assert site.change("endpoints/house/delete", {}).status_code == 200
    assert site.change("models/row/1/delete", {}).status_code == 200
    assert site.change("endpoints/house/deploy", {"model": "row:1"}).status_code == 404
    assert site.change("endpoints/house/rollback", {"to": 1}).status_code == 404, "it would bring back what is gone"


def test_changes_that_meet_are_made_one_after_the_other_or_refused(site):
    """Deployments of one name with different versions: one of them, and 409 for the rest; no revision is lost or made twice."""
    rivals = 16
    with concurrent.futures.ThreadPoolExecutor(rivals) as pool:
        bodies = [{"model": f"row:{1 + number % 2}", "name": "rival", "reason": str(number)} for number in range(rivals)]
        answers = list(pool.map(lambda body: site.change("endpoints/house/deploy", body, timeout=60), bodies))
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 409}, statuses
        made = {answer.json()["endpoint"]["deployments"][1]["model"] for answer in answers if answer.status_code == 200}
        assert len(made) == 1, "whoever was told that it is done was told the truth"
        shares = [{"shares": {"rival": number}} for number in range(1, rivals + 1)]
        answers = list(pool.map(lambda body: site.change("endpoints/house/traffic", body, timeout=60), shares))
        assert [answer.status_code for answer in answers] == [200] * rivals, "the latest one of each is what it changes"
        # A rollback is of what somebody has looked at.
        answers = list(pool.map(lambda _: site.change("endpoints/house/rollback", {}, timeout=60), range(rivals)))
        assert set(answer.status_code for answer in answers) <= {200, 409}
    history = site.ask("GET", "endpoints/house/history?limit=1000", site.admin_key).json()["revisions"]
    numbers = [revision["revision"] for revision in history]
    assert numbers == list(range(len(numbers), 0, -1))
    stored = [json.loads(path.read_text()) for path in (site.desk.registry / "endpoints" / "house").glob("*.json")]
    assert len({revision["nonce"] for revision in stored}) == len(numbers)
