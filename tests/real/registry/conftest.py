"""Registries to test with: on a disk, and in emulators of S3 and Azure Blob."""

import base64
import email.utils
import hashlib
import hmac
import pathlib
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from bench import Bench
from lossy_proxy import LossyProxy

EMULATORS = pathlib.Path(__file__).parent / "emulators" / "node_modules" / ".bin"

# Azurite's account, which is the same everywhere.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def put(url, **headers):
    """Puts nothing, until there is somebody to take it."""
    for _ in range(300):
        try:
            request = urllib.request.Request(url, method="PUT", headers=headers)
            return urllib.request.urlopen(request, timeout=10).status
        except urllib.error.HTTPError:
            raise
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"nobody listens at {url}")


def running(command):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Emulator:
    """A store that listens on this machine."""

    def __init__(self, url, port, variables):
        self.url, self.port, self.variables = url, port, variables


@pytest.fixture(scope="session")
def s3():
    port = free_port()
    for _ in running(["moto_server", "-H", "127.0.0.1", "-p", str(port)]):
        put(f"http://127.0.0.1:{port}/models")
        keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
        yield Emulator(
            "s3://models",
            port,
            lambda port: keys | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true"},
        )


@pytest.fixture(scope="session")
def azure():
    port = free_port()
    command = [EMULATORS / "azurite-blob", "--silent", "--disableTelemetry", "--inMemoryPersistence", "--skipApiVersionCheck"]
    for _ in running([*command, "--blobPort", str(port)]):
        date, version = email.utils.formatdate(usegmt=True), "2021-08-06"
        signed = f"PUT{chr(10) * 12}x-ms-date:{date}\nx-ms-version:{version}\n/{ACCOUNT}/{ACCOUNT}/models\nrestype:container"
        signature = hmac.digest(base64.b64decode(ACCOUNT_KEY), signed.encode(), hashlib.sha256)
        put(
            f"http://127.0.0.1:{port}/{ACCOUNT}/models?restype=container",
            **{
                "x-ms-date": date,
                "x-ms-version": version,
                "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}",
            },
        )
        yield Emulator(
            "az://models",
            port,
            lambda port: {
                "AZURE_STORAGE_USE_EMULATOR": "true",
                "AZURITE_BLOB_STORAGE_URL": f"http://127.0.0.1:{port}",
            },
        )


@pytest.fixture(params=["disk", "s3", "azure"])
def bench(request, tmp_path):
    """A registry of its own in each kind of store."""
    if request.param == "disk":
        return Bench(tmp_path / "state", tmp_path / "registry")
    emulator = request.getfixturevalue(request.param)
    return Bench(tmp_path / "state", f"{emulator.url}/{tmp_path.name}", **emulator.variables(emulator.port))


@pytest.fixture(params=["s3", "azure"])
def lossy_bench(request, tmp_path):
    """The same behind a proxy that refuses requests, and answers."""
    emulator = request.getfixturevalue(request.param)
    with LossyProxy(emulator.port) as proxy:
        yield Bench(tmp_path / "state", f"{emulator.url}/{tmp_path.name}", **emulator.variables(proxy.port)), proxy


@pytest.fixture
def disk(tmp_path):
    """A registry on a disk with one model in it."""
    bench = Bench(tmp_path / "state", tmp_path / "registry")
    bench.register()
    return bench
