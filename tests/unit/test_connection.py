"""The configuration's `kafka` section becomes each client's own options."""

from __future__ import annotations

import dataclasses
import gc
import re
import ssl
import threading
from pathlib import Path

import faust
import pytest
import trustme
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from faust.auth import SASLCredentials, SSLCredentials
from kafka.admin import KafkaAdminClient
from kafka.errors import ClusterAuthorizationFailedError
from pydantic import SecretStr

from schemas.errors import ConfigError, KafkaRefused, KafkaUnreachable
from streams import connection
from streams.connection import admin_options, aiokafka_options, faust_options, no_administration, open_admin, ssl_context
from streams.embedded import EmbeddedBroker
from tests.settings import KafkaSection

SASL = KafkaSection(
    security_protocol="SASL_PLAINTEXT",
    sasl_mechanism="SCRAM-SHA-512",
    sasl_username="user",
    sasl_password=SecretStr("secret"),
)


def test_several_brokers_may_stand_in_one_text() -> None:
    """Environment variables hold no lists."""
    options = admin_options(KafkaSection(bootstrap="a:1, b:2"))
    assert options == {"bootstrap_servers": ["a:1", "b:2"], "security_protocol": "PLAINTEXT"}


def test_all_options_are_known_to_kafka_python() -> None:
    """A name that the client does not know would fail at the first connection only."""
    options = admin_options(dataclasses.replace(SASL, security_protocol="SASL_SSL"))
    assert set(options) <= set(KafkaAdminClient.DEFAULT_CONFIG)


async def test_all_options_are_known_to_aiokafka() -> None:
    """Consumer and producer take the same ones."""
    options = aiokafka_options(dataclasses.replace(SASL, security_protocol="SASL_SSL"))
    for client in (AIOKafkaProducer, AIOKafkaConsumer):
        await client(**options).stop()


def test_faust_gets_every_broker_and_the_credentials() -> None:
    """Its settings read back what the configuration says."""
    section = dataclasses.replace(SASL, bootstrap=["a:1", "b:2"])
    app = faust.App("reads-back", **faust_options(section))
    assert [(url.host, url.port) for url in app.conf.broker] == [("a", 1), ("b", 2)]
    credentials = app.conf.broker_credentials
    assert isinstance(credentials, SASLCredentials)
    assert (credentials.username, credentials.password) == ("user", "secret")
    assert credentials.mechanism.value == "SCRAM-SHA-512"
    assert credentials.protocol.value == "SASL_PLAINTEXT"


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
def test_faust_gets_tls(protocol: str) -> None:
    """With and without a user."""
    credentials = faust_options(dataclasses.replace(SASL, security_protocol=protocol))["broker_credentials"]
    assert isinstance(credentials, SSLCredentials | SASLCredentials)
    assert credentials.protocol.value == protocol
    context = credentials.context if isinstance(credentials, SSLCredentials) else credentials.ssl_context
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_faust_gets_no_credentials_without_need() -> None:
    """None is its word for plain text."""
    assert faust_options(KafkaSection())["broker_credentials"] is None


def test_the_password_does_not_show() -> None:
    """Options end up in logs and tracebacks."""
    assert "secret" not in f"{admin_options(SASL)!r} {admin_options(SASL)}"


def test_the_host_name_need_not_match_where_the_configuration_says_so() -> None:
    """The certificate itself is verified all the same."""
    context = ssl_context(KafkaSection(security_protocol="SSL", ssl_check_hostname=False))
    assert context is not None
    assert not context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_client_certificate_may_hold_its_own_key(tmp_path: Path) -> None:
    """One file is enough."""
    both = tmp_path / "client.pem"
    trustme.CA().issue_cert("client@floorpulse.test").private_key_and_cert_chain_pem.write_to_path(both)
    assert ssl_context(KafkaSection(security_protocol="SSL", ssl_certfile=both)) is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bootstrap": " , "}, "kafka.bootstrap is empty"),
        ({"security_protocol": "TLS"}, "kafka.security_protocol 'TLS' is unknown; use one of PLAINTEXT, SSL"),
        ({"sasl_mechanism": None}, "kafka.sasl_mechanism None cannot be used; use one of PLAIN, SCRAM-SHA-256"),
        ({"sasl_mechanism": "GSSAPI"}, "kafka.sasl_mechanism 'GSSAPI' cannot be used"),
        ({"sasl_username": ""}, "needs kafka.sasl_username and kafka.sasl_password"),
        ({"sasl_password": None}, "needs kafka.sasl_username and kafka.sasl_password"),
        ({"security_protocol": "SSL", "ssl_cafile": Path("no-such.pem")}, "kafka.ssl_cafile no-such.pem: No such file"),
        ({"security_protocol": "SSL", "ssl_certfile": Path("no-such.pem")}, "ssl_certfile no-such.pem"),
    ],
)
def test_what_cannot_work_is_refused(change: dict[str, object], message: str) -> None:
    """The message names the setting, its value and what would do."""
    section = dataclasses.replace(SASL, **change)  # type: ignore[arg-type]  # one value of any field
    with pytest.raises(ConfigError, match=message):
        admin_options(section)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # kafka-python leaves sockets of failed tries to the GC
def test_an_unreachable_broker_is_one_clear_line() -> None:
    """It says where, how often, why, and what to do; no thread stays behind."""
    before = set(threading.enumerate())
    with pytest.raises(KafkaUnreachable) as caught, open_admin({"bootstrap_servers": "127.0.0.1:1"}, timeout_s=0.5):
        pass
    text = str(caught.value)
    del caught  # its traceback holds the client
    gc.collect()
    assert text.startswith("cannot reach Kafka at 127.0.0.1:1 (kafka.bootstrap; ")
    assert "tries in 0.5 s: connection refused)" in text
    assert text.endswith("Without Kafka: floorpulse demo")
    assert set(threading.enumerate()) <= before


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_broker_that_takes_no_administrative_requests_is_told_from_one_that_is_away() -> None:
    """The embedded one of the demo: it was reached, so nothing is said of listeners, and whoever asks it has a demo already."""
    with EmbeddedBroker() as broker:
        with pytest.raises(KafkaRefused) as caught, open_admin({"bootstrap_servers": broker.bootstrap}, timeout_s=0.5):
            pass
        text = str(caught.value)
        del caught
        gc.collect()
        said = re.sub(r"\d+ tr(y|ies)", "some tries", text)
        assert said == no_administration(broker.bootstrap, "some tries in 0.5 s", "KafkaProtocolError: Unable to decode response")
        assert "reach" not in said


def test_what_a_broker_refuses_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that may connect, and nothing else."""
    closed: list[bool] = []

    class Admin:
        def __init__(self, **options: object) -> None:
            pass

        def describe_topics(self) -> None:
            raise ClusterAuthorizationFailedError("not for you")

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(connection, "_Admin", Admin)
    with pytest.raises(KafkaRefused) as caught, open_admin({"bootstrap_servers": ["a:1", "b:2"]}) as admin:
        admin.describe_topics()
    assert str(caught.value).startswith("a:1,b:2 did not do what it was asked (kafka.bootstrap): ")
    assert str(caught.value).endswith("ClusterAuthorizationFailedError: not for you")
    assert closed == [True]
