"""The URL of Redis: what can't be used is told when the settings are read, and TLS verifies."""

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from celery import Celery
from redis import Redis
from redis.exceptions import ConnectionError
from support.processes import wait_until

from seeder.app import celery_settings
from seeder.broker.messages import verify_room
from seeder.cli.services import free_port
from seeder.config.broker_urls import tls_options, verify_broker_url
from seeder.config.settings import Settings
from seeder.errors import BrokerUnreachable


def refused(url: str) -> str:
    with pytest.raises(ValueError, match=r".") as error:
        verify_broker_url(url)
    return str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "redis://host/",
        "redis://user:pass%2Fword@host:6379/15",
        "redis://[::1]:6379/0",
        "redis://one:6379/0;redis://two:6379/0",
        "redis+socket:///run/redis.sock",
        "redis+socket:///run/redis.sock?virtual_host=3",
        "rediss://host:6380/0",
        "rediss://host/0?ssl_cert_reqs=none",
        "rediss://host/0?ssl_check_hostname=False&ssl_ca_path=/",
        "rediss://host/0?ssl_ciphers=HIGH",
    ],
)
def test_what_redis_can_be_reached_by_is_taken(url: str) -> None:
    assert verify_broker_url(url) == url


@pytest.mark.parametrize(
    "scheme",
    ["sentinel", "amqp", "sqs", "redis+cluster", "rediss+cluster", "valkey", "memory", "kafka", "SENTINEL"],
)
def test_what_is_not_supported_is_refused_by_its_name(scheme: str) -> None:
    assert f"{scheme.lower()}:// is not supported" in refused(f"{scheme}://:S3cret@host:26379/0")
    assert f"{scheme.lower()}://" in refused(f"redis://host/0;{scheme}://host/0")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://host/zero", "a database of Redis has a number"),
        ("redis://host/-1", "a database of Redis has a number"),
        ("redis://host/1_0", "a database of Redis has a number"),
        ("redis://host/٣", "a database of Redis has a number"),
        ("redis://one/0;redis://two/x", "a database of Redis has a number"),
        ("redis+socket:///run/redis.sock?virtual_host=x", "a database of Redis has a number"),
        ("redis+socket://", "the socket's path"),
        ("Redis://host/0", "in small letters"),
        ("redis://host/0;two", "write a Redis URL"),
        ("redis://host/0?socket_timeout=5", "it may have credential_provider"),
        ("redis://host/0?db=3", "it may have credential_provider"),
        ("rediss://host/0?ssl_verify=0", "it may have credential_provider, ssl_ca_certs"),
        ("redis://host/0?ssl_cert_reqs=none", "want a URL that begins with rediss://"),
        ("rediss://host/0?ssl_cert_reqs=no", "ssl_cert_reqs is required (the default), optional or none"),
        ("rediss://host/0?ssl_check_hostname=0", "ssl_check_hostname is true (the default) or false"),
        ("rediss://host/0?ssl_check_hostname=", "has a value"),
        (
            "rediss://host/0?ssl_ca_certs=/no/such/file",
            "ssl_ca_certs names a file that can't be read (No such",
        ),
        ("rediss://host/0?ssl_ca_certs=/", "ssl_ca_certs names a file that can't be read (Is a directory)"),
        (f"rediss://host/0?ssl_ca_certs={__file__}", "OpenSSL can't use ssl_ca_certs"),
        (f"rediss://host/0?ssl_certfile={__file__}", "OpenSSL can't use ssl_certfile"),
        (f"rediss://host/0?ssl_keyfile={__file__}", "ssl_certfile, which is missing"),
        ("rediss://host/0?ssl_ca_path=/no/such/folder", "ssl_ca_path names no folder"),
        ("rediss://host/0?ssl_ciphers=S3cret", "OpenSSL can't use ssl_ciphers"),
        ("rediss://one/0;redis://two/0", "either all"),
        ("redis://:S3cret?x@host/0", "write a Redis URL"),
        ("redis://:1/S3cret@host/0", "is written %2F"),
    ],
)
def test_what_can_not_be_used_is_told_with_what_to_write(url: str, words: str) -> None:
    message = refused(url)
    assert words in message
    assert "S3cret" not in message
    assert len(message.splitlines()) == 1


# --- TLS -------------------------------------------------------------------------------------------------


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an authority that nobody knows, with a certificate for 127.0.0.1 and one for another name."""
    folder = tmp_path_factory.mktemp("tls")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=Authority")
    for name, names in (("right", "IP:127.0.0.1"), ("other", "DNS:other.example")):
        (folder / "names").write_text(f"subjectAltName={names}")
        openssl(folder, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=redis")
        openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-CAcreateserial", "-extfile", "names", "-out", f"{name}.crt",
        )  # fmt: skip
    return folder


@pytest.fixture(scope="module", params=["right", "other"])
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[str, int]]:
    """Debian's Redis, since the one from the wheel speaks no TLS: whose certificate it has, and its port."""
    program = shutil.which("redis-server")
    if program is None:
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        complain("redis-server is not installed: apt-get install redis-server")
    name, port = request.param, free_port(0)
    process = subprocess.Popen(
        [
            program, "--save", "", "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1",
            "--tls-cert-file", f"{name}.crt", "--tls-key-file", f"{name}.key",
            "--tls-ca-cert-file", "ca.crt", "--tls-auth-clients", "optional",
        ],
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until("Redis speaks TLS", lambda: answers(port))
        yield name, port
    finally:
        process.terminate()
        process.wait(10)


def answers(port: int) -> bool:
    try:
        with Redis(port=port, ssl=True, ssl_cert_reqs="none", ssl_check_hostname=False) as client:
            return bool(client.ping())
    except ConnectionError:
        return False


#: The URL's parameters, and whose certificate is taken with them.
OPTIONS = {
    "": set(),
    "?ssl_ca_certs={}/ca.crt": {"right"},
    "?ssl_ca_certs={}/ca.crt&ssl_cert_reqs=optional": {"right"},
    "?ssl_ca_certs={}/ca.crt&ssl_check_hostname=false": {"right", "other"},
    "?ssl_check_hostname=false": set(),
    "?ssl_cert_reqs=none": {"right", "other"},
    "?ssl_ca_certs={0}/ca.crt&ssl_certfile={0}/right.crt&ssl_keyfile={0}/right.key": {"right"},
}


def trouble(url: str) -> str:
    """What queueing a run says of that Redis; empty where it may be talked to."""
    app = Celery("seeder", set_as_current=False)
    app.conf.update(celery_settings(Settings(), verify_broker_url(url)))
    try:
        verify_room(app)
    except BrokerUnreachable as error:
        return str(error)
    finally:
        app.close()
    return ""


def test_only_a_redis_that_is_who_it_should_be_is_talked_to_unless_the_url_says_otherwise(
    server: tuple[str, int], folder: Path
) -> None:
    name, port = server
    urls = [f"rediss://127.0.0.1:{port}/0{options.format(folder)}" for options in OPTIONS]
    # At once, since Redis' client tries each three more times.
    with ThreadPoolExecutor(len(urls)) as pool:
        told = dict(zip(OPTIONS, pool.map(trouble, urls), strict=True))
    assert {options for options, words in told.items() if not words} == {
        options for options, trusted in OPTIONS.items() if name in trusted
    }
    assert all("CERTIFICATE_VERIFY_FAILED" in words for words in told.values() if words)


def test_of_several_urls_none_is_talked_to_unverified_because_another_may_be() -> None:
    verified = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    assert tls_options("rediss://one/0?ssl_cert_reqs=none;rediss://two/0") == verified
    assert tls_options("rediss://one/0?ssl_cert_reqs=none")["ssl_cert_reqs"] == ssl.CERT_NONE
    assert tls_options("redis://one/0") == {}
