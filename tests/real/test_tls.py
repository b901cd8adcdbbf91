"""TLS as other programs judge it: curl, requests, httpx, OpenSSL, sslyze, testssl."""

import json
import signal
import ssl
import subprocess
import threading

import httpx
import pytest
import requests
import sslyze
from cryptography.x509.oid import ExtendedKeyUsageOID
from sslyze.mozilla_tls_profile.tls_config_checker import (
    MozillaTlsConfiguration,
    ServerNotCompliantWithTlsConfiguration,
    TlsConfigurationEnum,
    check_server_against_tls_configuration,
)

from authority import Authority, ecdsa, rsa2048
from scoria_server import wait_until

# Of an authority in the list that sslyze brings.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")

BODY = {"data": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]}

# What testssl holds against certificates that no public authority has issued. There is no revocation service for them either.
OWN_AUTHORITY = {"cert_chain_of_trust", "cert_revocation"}


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


@pytest.fixture
def serve_tls(serve, models, authority):
    """Starts a server whose certificate `authority` has issued."""

    def start(key=None, **settings):
        certificate, key = authority.issue("server", key)
        return serve(models / "ridge", tls_cert=certificate, tls_key=key, **settings)

    return start


def curl(*arguments):
    run = subprocess.run(["curl", "-sS", "--max-time", "30", *map(str, arguments)], capture_output=True, text=True)
    return run.returncode, run.stdout, run.stderr


def s_client(server, *arguments):
    """What OpenSSL says of a handshake, and whether there was one."""
    host, port = server.host_and_port
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", *map(str, arguments)]
    run = subprocess.run(command, input="", capture_output=True, text=True, errors="replace", timeout=30)
    return run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_curl(serve_tls, authority, version):
    with serve_tls() as server:
        asked = ["--cacert", authority.path, f"--http{version}", "-w", " %{http_version} %{http_code}"]
        code, out, err = curl(*asked, server.score_uri("ridge"), "-d", json.dumps(BODY))
        assert (code, out.split()[1:]) == (0, [version, "200"]), out + err
        # Without the authority it does not trust the server, and says so (60).
        assert curl(server.score_uri("ridge"))[0] == 60


def test_curl_line_of_the_banner(serve_tls):
    with serve_tls(auth="key") as server:
        assert server.base.startswith("https://127.0.0.1:")
        (line,) = server.curl_lines()
        answer = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
        assert json.loads(answer.stdout)[0][0] == pytest.approx(-307.94867, rel=1e-4), answer


def test_a_self_signed_certificate_as_the_document_makes_it(serve, models, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=localhost "
        f"-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout {key} -out {certificate}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    with serve(models / "ridge", tls_cert=certificate, tls_key=key) as server:
        (line,) = server.curl_lines()
        answer = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
        assert json.loads(answer.stdout)[0][0] == pytest.approx(-307.94867, rel=1e-4), answer


def test_requests_and_httpx(serve_tls, authority):
    with serve_tls() as server:
        uri, trust = server.score_uri("ridge"), str(authority.path)
        assert requests.post(uri, json=BODY, verify=trust).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            requests.post(uri, json=BODY)
        context = ssl.create_default_context(cafile=trust)
        for http2, version in [(False, "HTTP/1.1"), (True, "HTTP/2")]:
            with httpx.Client(http2=http2, verify=context) as client:
                answers = [client.post(uri, json=BODY) for _ in range(20)]
            assert {(answer.status_code, answer.http_version) for answer in answers} == {(200, version)}


def test_plain_http_is_told_to_use_https(serve_tls):
    with serve_tls() as server:
        code, out, _ = curl(server.score_uri("ridge").replace("https://", "http://"), "-d", json.dumps(BODY))
        assert (code, json.loads(out)["error"]["code"]) == (0, "https_required")


@pytest.mark.parametrize(("make_key", "kind"), [(ecdsa, "ECDSA"), (rsa2048, "RSA")])
def test_openssl_gets_strong_suites_only(serve_tls, make_key, kind):
    # OpenSSL itself refuses the old ones unless it is asked to forget its own level of security.
    lax = "ALL:COMPLEMENTOFALL@SECLEVEL=0"
    with serve_tls(make_key()) as server:
        for version in ("-tls1", "-tls1_1"):
            agreed, said = s_client(server, version, "-cipher", lax)
            assert not agreed and "SSL alert number" in said, said
        sound = {f"ECDHE-{kind}-AES128-GCM-SHA256", f"ECDHE-{kind}-AES256-GCM-SHA384", f"ECDHE-{kind}-CHACHA20-POLY1305"}
        known = subprocess.run(["openssl", "ciphers", "-tls1_2", lax], capture_output=True, text=True, check=True)
        suites = {suite for suite in known.stdout.strip().split(":") if not suite.startswith("TLS_")}
        assert sound < suites and len(suites) > 50
        agreed = {suite for suite in suites if s_client(server, "-tls1_2", "-cipher", f"{suite}@SECLEVEL=0")[0]}
        assert agreed == sound
        agreed, said = s_client(server, "-tls1_3", "-alpn", "h2,http/1.1")
        assert agreed and "ALPN protocol: h2" in said, said


def issues(server, configuration, extra=None):
    """What sslyze finds that Mozilla's recommendation does not allow."""
    host, port = server.host_and_port
    location = sslyze.ServerNetworkLocation(host, int(port))
    scanner = sslyze.Scanner()
    scanner.queue_scans([sslyze.ServerScanRequest(location, network_configuration=extra)])
    (result,) = scanner.get_results()
    assert result.scan_result, result
    early = result.scan_result.tls_1_3_early_data.result
    assert not early.supports_early_data
    try:
        check_server_against_tls_configuration(result, MozillaTlsConfiguration.get(configuration))
    except ServerNotCompliantWithTlsConfiguration as found:
        return found.issues
    return {}


def test_sslyze_finds_mozillas_intermediate_configuration(serve_tls):
    for make_key in (ecdsa, rsa2048):
        with serve_tls(make_key()) as server:
            # Its list of authorities is Mozilla's, and the tests' own is none of them.
            assert set(issues(server, TlsConfigurationEnum.MOZILLA_INTERMEDIATE)) == {"certificate_path_validation"}


def test_sslyze_finds_mozillas_modern_configuration(serve_tls):
    with serve_tls(tls_min_version="1.3") as server:
        assert set(issues(server, TlsConfigurationEnum.MOZILLA_MODERN)) == {"certificate_path_validation"}
    with serve_tls() as server:
        found = set(issues(server, TlsConfigurationEnum.MOZILLA_MODERN))
        assert "tls_versions" in found, "the scan sees that 1.2 is spoken where it is"


def scan(base, report):
    """What testssl has found, and of that, what it could not look at."""
    command = ["testssl", "--quiet", "--warnings", "batch", "--color", "0", "--jsonfile", str(report), base]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600)
    findings = json.loads(report.read_text())
    assert len(findings) > 100, run.stdout + run.stderr
    # Its OpenSSL lacks the GOST ciphers, which do not matter.
    return findings, [found for found in findings if found["severity"] == "WARN" and found["id"] != "engine_problem"]


def test_testssl_finds_nothing(serve_tls, tmp_path):
    with serve_tls() as server:
        findings, blind = scan(server.base, tmp_path / "testssl.json")
        if blind:
            # It gives up early on a machine that is busy.
            findings, blind = scan(server.base, tmp_path / "again.json")
    bad = {found["id"]: found for found in findings if found["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")}
    assert bad.keys() == OWN_AUTHORITY, bad
    # A scan that could not look is no good news.
    assert not blind


def test_client_certificates_on_the_admin_port(serve_tls, authority, tmp_path):
    operators, strangers = (Authority(tmp_path / name, "Operators") for name in ("operators", "strangers"))

    def client(issuer, name, **more):
        return issuer.issue(name, usage=ExtendedKeyUsageOID.CLIENT_AUTH, **more)

    with serve_tls(admin_client_ca=operators.path) as server:
        assert "(with a client certificate)" in server.banner

        def livez(*pair):
            shown = ["--cert", pair[0], "--key", pair[1]] if pair else []
            code, out, err = curl("--cacert", authority.path, *shown, f"{server.admin}/livez", "-w", "%{http_code}")
            return out[-3:] if code == 0 else err

        assert livez(*client(operators, "right")) == "200"
        for refused, reason in [
            ((), "certificate required"),
            (client(strangers, "wrong"), "unknown ca|decrypt error"),
            (client(operators, "late", days=-2), "certificate expired"),
        ]:
            said = livez(*refused)
            assert any(word in said for word in reason.split("|")), said
        assert curl("--cacert", authority.path, f"{server.base}/livez")[0] == 0, "the scoring port asks for keys only"


def test_an_expired_certificate_is_told_and_served(serve, models, authority):
    certificate, key = authority.issue("late", days=-3)
    with serve(models / "ridge", tls_cert=certificate, tls_key=key) as server:
        assert '"expired_days_ago":3,' in server.stderr.replace("}", ",") and "has expired" in server.stderr
        assert curl("--cacert", authority.path, f"{server.base}/livez")[0] == 60
        assert "expired" in curl("--cacert", authority.path, f"{server.base}/livez")[2]


def test_a_key_of_another_certificate_is_refused(serve, models, authority):
    certificate, _ = authority.issue("one")
    _, key = authority.issue("other")
    with pytest.raises(AssertionError, match="does not belong to the certificate"):
        with serve(models / "ridge", tls_cert=certificate, tls_key=key):
            pass


def test_exchanged_certificates_do_not_disturb_clients(serve_tls, authority):
    """Clients of both versions of HTTP, on new and on open connections, while the pair changes a hundred times."""
    wrong, counts, stop = [], [0, 0, 0], threading.Event()

    def score(number, uri, http2, reconnects):
        context = ssl.create_default_context(cafile=str(authority.path))
        while not stop.is_set() and not wrong:
            with httpx.Client(http2=http2, verify=context) as client:
                while not stop.is_set() and not wrong:
                    try:
                        status = client.post(uri, json=BODY).status_code
                    except httpx.HTTPError as error:
                        status = repr(error)
                    if status != 200:
                        wrong.append(status)
                    counts[number] += 1
                    if reconnects:
                        break

    with serve_tls(tls_reload_interval_ms=3_600_000) as server:

        def reloads(outcome="loaded"):
            text = requests.get(f"{server.admin}/metrics").text
            series = f'scoria_tls_reloads_total{{outcome="{outcome}",port="scoring"}} '
            (line,) = (line for line in text.splitlines() if line.startswith(series))
            return int(line.removeprefix(series))

        kinds = [(True, False), (False, False), (False, True)]
        clients = [
            threading.Thread(target=score, args=(number, server.score_uri("ridge"), *kind))
            for number, kind in enumerate(kinds)
        ]
        for client in clients:
            client.start()
        for number in range(1, 101):
            before = list(counts)
            authority.issue("server")
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: reloads() == number, what="the reload")
            wait_until(lambda: wrong or all(now > then for now, then in zip(counts, before)), what="requests")
        stop.set()
        for client in clients:
            client.join()
        assert not wrong and reloads("failed") == 0
