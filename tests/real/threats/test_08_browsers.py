"""Threat 8: pages in somebody's browser: requests across origins, and names that are made to resolve to this machine."""

import http.client

import pytest

ORIGINS = (
    None,
    "http://evil.example",
    "https://evil.example:8081",
    "null",
    "http://localhost",
    "http://127.0.0.1:8080",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW")
OURS = ("localhost", "LOCALHOST", "127.0.0.1", "127.0.0.1:1", "[::1]", "10.0.0.7:8081")
OTHERS = (
    "evil.example",
    "evil.example:8081",
    "localhost.evil.example",
    "127.0.0.1.nip.example",
    "localhost@evil.example",
)
ADMIN_PATHS = ("/metrics", "/api/v1/service", "/api/v1/service/row", "/nothing")
PROBES = ("/", "/livez", "/readyz", "/healthz")
SCORING_PATHS = ("/api/v1/service/row/score", "/score", "/openapi.json", "/swagger.json", "/livez", "/nothing")
CORS = ("access-control-allow-origin", "access-control-allow-credentials", "access-control-allow-methods")


def ask(base, method, path, host, origin=None, **more):
    connection = http.client.HTTPConnection(*base.removeprefix("http://").split(":"), timeout=10)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host)
    for name, value in {"Origin": origin, **more}.items():
        if value is not None:
            connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def may(settings, host):
    return host in OURS or host in settings.get("admin_hosts", "").split(",")


@pytest.mark.parametrize("settings", [{}, {"admin_hosts": "evil.example"}])
def test_the_admin_port_is_called_by_its_own_names_only(serve, row_model, figure, settings):
    """Every method, with the allow-list as its own control."""
    asked = 0
    with serve(row_model, **settings) as server:
        for method in METHODS:
            for host in (*OURS, *OTHERS):
                for origin in ORIGINS:
                    for path in ADMIN_PATHS:
                        answer = ask(server.admin, method, path, host, origin)
                        bare = host.removesuffix(":8081")
                        case = (method, path, host, origin, answer.status)
                        if not may(settings, bare) and not may(settings, host):
                            assert answer.status in (421, 400), case
                        elif path == "/nothing":
                            assert answer.status == 404, case
                        else:
                            assert answer.status == (200 if method in ("GET", "HEAD") else 405), case
                        assert not any(answer.headers[name] for name in (*CORS, "set-cookie")), case
                        asked += 1
        for host in (*OURS, "evil.example"):
            assert all(ask(server.admin, "GET", path, host).status == 200 for path in PROBES)
    figure(f"{asked} combinations of method, path, Host and Origin")


def test_scoring_has_no_cookies_and_tells_no_other_origin(serve, row_model, figure):
    asked = 0
    with serve(row_model, auth="key") as server:
        for method in METHODS:
            for path in SCORING_PATHS:
                for host in ("localhost", "evil.example"):
                    for origin in ORIGINS:
                        answer = ask(server.base, method, path, host, origin, Cookie="key=1")
                        case = (method, path, host, origin, answer.status)
                        assert not any(answer.headers[name] for name in (*CORS, "set-cookie")), case
                        # Whatever is neither a probe nor a preflight needs a key.
                        if path != "/livez" and answer.status < 400:
                            assert method == "OPTIONS" or "json" in path, case
                        asked += 1
        preflight = ask(
            server.base, "OPTIONS", "/score", "localhost", "http://evil.example", Access_Control_Request_Method="POST"
        )
        assert not any(preflight.headers[name] for name in CORS)
    figure(f"{asked} combinations of method, path, Host and Origin")


def test_a_configured_origin_is_told_and_no_other(serve, row_model):
    """The control: CORS can be switched on, for one page and no other."""
    with serve(row_model, cors_origins="https://good.example") as server:
        for origin, told in (("https://good.example", "https://good.example"), ("https://evil.example", None)):
            answer = ask(server.base, "POST", "/api/v1/service/row/score", "localhost", origin, Content_Length="0")
            assert answer.headers["access-control-allow-origin"] == told
            assert answer.headers["access-control-allow-credentials"] is None
