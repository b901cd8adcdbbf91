"""Threats 24, 26 and 27: keys that are guessed, that are for something else, and that are being replaced."""

import json
import re
import secrets
import threading
import time

import requests

from refusals import RIDGE, Hostile, check_error, exchange, statuses

# The same in the Open Inference Protocol.
INFER = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 10], "data": RIDGE["data"]}]}

KEYLESS = ("/", "/livez", "/readyz", "/healthz", "/metrics")


def test_odd_authorization_is_refused_before_the_body_is_read(serve, models):
    with serve(models / "ridge", models / "wine", auth="key") as server:
        key, client = server.key("ridge"), Hostile(server)
        body = json.dumps(RIDGE)
        odd = [
            None,
            "",
            "Bearer",
            "Bearer ",
            "Bearer  ",
            "bearer",
            key,
            f"Basic {key}",
            f"Token {key}",
            f"Bearer {key[:-1]}",
            f"Bearer {key}x",
            f"Bearer {key} {key}",
            f'Bearer "{key}"',
            f"Bearer: {key}",
            f"Bearer,{key}",
            "Bearer " + "x" * 20_000,
            "Bearer \xff\xfe",
            f"Bearer {key.upper()}",
            f"Bearer {key.lower()}",
            "Negotiate abc",
            "Bearer null",
            "Bearer undefined",
        ]
        for value in odd:
            headers = {} if value is None else {"Authorization": value.encode("latin1")}
            status, answered, content = client.request("POST", "/api/v1/service/ridge/score", body, headers)
            assert status == 401 and answered["www-authenticate"] == "Bearer", (value, status)
            check_error(content)
            assert key.encode() not in content
        status, _, content = client.request(
            "POST", "/api/v1/service/ridge/score", body, {"Authorization": f"Bearer {server.key('wine')}"}
        )
        assert status == 403, status
        check_error(content)
        # Refused before the body is read, however wrong that is.
        status, _, _ = client.request("POST", "/api/v1/service/ridge/score", "garbage", {})
        assert status == 401
        for value in (
            f"Bearer {key}",
            f"bearer {key}",
            f"BEARER  {key} ",
            f"Bearer {server.key('ridge', 'secondary')}",
        ):
            status, _, content = client.request("POST", "/api/v1/service/ridge/score", body, {"Authorization": value})
            assert status == 200, (value, content)
        # Twice the header is no key, or the first of them; never the second alone.
        request = "POST /score HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n"
        request += f"Authorization: Bearer wrong\r\nAuthorization: Bearer {key}\r\n\r\n"
        assert set(statuses(exchange(server, request.encode(), half_close=False))) <= {400, 401, 404}


def test_guessing_leads_nowhere_and_hinders_nobody(serve, row_model, figure):
    """Random keys of the right form, near misses, and digests; no lockout that could be turned on others."""
    with serve(row_model, auth="key") as server:
        key, body = server.key("row"), json.dumps({"data": RIDGE["data"]})
        digests = re.findall(r'"sha256": "(\w+)"', (server.state_dir / "keys" / "row.json").read_text())
        assert len(digests) == 2
        guesses = [f"scoria_{secrets.token_urlsafe(32)}" for _ in range(3000)]
        guesses += [key[:at] + ("A" if key[at] != "A" else "B") + key[at + 1 :] for at in range(len(key))]
        guesses += [*digests, key[:-1], f"{key}A", key.swapcase(), key[::-1], "", "scoria_", "*", "%00", "null"]
        client, good = Hostile(server), Hostile(server, {"Authorization": f"Bearer {key}"})
        begun = time.monotonic()
        for index, guess in enumerate(guesses):
            status, _, content = client.request(
                "POST", "/api/v1/service/row/score", body, {"Authorization": f"Bearer {guess}"}
            )
            assert status == 401, (guess, status)
            assert check_error(content)["code"] in ("unknown_key", "key_required")
            if index % 100 == 0:
                assert good.score("row", body)[0] == 200
        took = time.monotonic() - begun
    figure(f"{len(guesses)} guesses, {len(guesses) / took:.0f} in a second over one connection, all refused")


def roles(server):
    """Whose key is shown; None for nobody's."""
    keys = {
        f"{name} {slot}": server.key(name, slot) for name in ("first", "second") for slot in ("primary", "secondary")
    }
    admin = {
        f"admin {slot}": (server.state_dir / f"admin.{slot}.key").read_text().strip()
        for slot in ("primary", "secondary")
    }
    return {**keys, **admin, "nobody": None, "anybody": f"scoria_{secrets.token_urlsafe(32)}"}


def owner_of(path):
    """Whose key a route of the scoring port asks for; with a `+`, an administrator may read there, too. None: nobody's."""
    found = re.fullmatch(r"/api/v1/service/(\w+)/score|/v2/models/(\w+)/infer|/v2/models/(\w+?)(?:/config|/stats)?", path)
    if not found or path == "/v2/models/stats":
        return None
    return found[1] or found[2] or f"{found[3]}+"


def expected(role, owner):
    """Who may enter where `owner` may: 200, 401 for those who are not known, 403 for those who are."""
    if owner and owner.endswith("+"):
        owner = owner[:-1]
        if role.startswith("admin"):
            return 200
    if owner is None or role.split()[0] == owner:
        return 200
    # The scoring port does not know the keys of the admin port.
    is_known = role not in ("nobody", "anybody") and not (role.startswith("admin") and owner != "admin")
    return 403 if is_known else 401


def test_every_role_enters_where_it_may_and_nowhere_else(serve, row_model, figure):
    """Role by route by port. The scoring port's routes are those of its own document."""
    asked = 0
    with serve(f"first={row_model}", f"second={row_model}", auth="key") as server:
        document = requests.get(f"{server.base}/openapi.json", timeout=10).json()
        routes = []
        for path, operations in document["paths"].items():
            owner = owner_of(path)
            routes += [(server.base, path, method, owner) for method in operations if method in ("get", "post", "head")]
        assert {owner for *_, owner in routes} >= {"first", "second"}, document["paths"].keys()
        for name in ("first", "second"):
            routes += [
                (server.base, f"/api/v1/service/{name}/{leaf}", "get", None)
                for leaf in ("swagger.json", "openapi.json")
            ]
            routes.append((server.admin, f"/api/v1/service/{name}", "get", "admin"))
        routes.append((server.admin, "/api/v1/service", "get", "admin"))
        routes += [(server.admin, path, "get", None) for path in KEYLESS]
        for role, key in roles(server).items():
            headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
            for base, path, method, owner in routes:
                body = INFER if path.endswith("/infer") else RIDGE
                send = {"params": {"data": json.dumps(RIDGE["data"])}} if method == "get" else {"json": body}
                answer = requests.request(method, base + path, headers=headers, timeout=10, **send)
                case = (role, method, path, answer.status_code, answer.text[:200])
                assert answer.status_code == expected(role, owner), case
                asked += 1
        # What is not on a port is not there for any key.
        for key in roles(server).values():
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            for base, path in ((server.base, "/metrics"), (server.base, "/api/v1/service"), (server.admin, "/score")):
                assert requests.post(base + path, headers=headers, json=RIDGE, timeout=10).status_code == 404
                asked += 1
    figure(f"{asked} combinations of role, method and route")


def test_without_keys_every_role_enters(serve, row_model):
    """The control: it is the keys that keep them out."""
    with serve(row_model) as server:
        for headers in ({}, {"Authorization": "Bearer anything"}, {"Authorization": "nonsense"}):
            assert requests.post(server.score_uri("row"), json=RIDGE, headers=headers, timeout=10).status_code == 200
            assert requests.get(f"{server.admin}/api/v1/service", headers=headers, timeout=10).status_code == 200


def test_clients_change_from_one_key_to_the_other_without_an_error(serve, row_model, figure):
    """Threat 27: both keys of an endpoint are good at any time, so one half of the clients can be ahead of the other."""
    with serve(row_model, auth="key") as server:
        keys = [server.key("row", slot) for slot in ("primary", "secondary")]
        wrong, count = [], []

        def score_in_turns(first):
            with requests.Session() as session:
                for index in range(500):
                    headers = {"Authorization": f"Bearer {keys[(first + index) % 2]}"}
                    answer = session.post(server.score_uri("row"), json=RIDGE, headers=headers, timeout=10)
                    count.append(1)
                    if answer.status_code != 200:
                        wrong.append(answer.status_code)

        clients = [threading.Thread(target=score_in_turns, args=(first,)) for first in (0, 1)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert not wrong and len(count) == 1000
    figure(f"{len(count)} changes of key, 0 errors")
