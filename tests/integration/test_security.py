"""Every security protocol and mechanism reaches a real Kafka through each of the three clients."""

from __future__ import annotations

import asyncio
import gc

import faust
import pytest
import trustme
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pydantic import SecretStr

from schemas.errors import KafkaUnreachable
from streams.connection import SASL_MECHANISMS, admin_options, aiokafka_options, faust_options, open_admin
from streams.topics import check, create, plan
from tests.kafka import RealKafka, Security
from tests.settings import KafkaSection

WAYS = [("SSL", None), *((p, m) for p in ("SASL_SSL", "SASL_PLAINTEXT") for m in SASL_MECHANISMS)]

each_way = pytest.mark.parametrize(("protocol", "mechanism"), WAYS)
ignore_unclosed = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # kafka-python, after failed tries


@pytest.fixture
def security(secure_kafka: RealKafka) -> Security:
    """What a client of the secured broker knows."""
    assert secure_kafka.security is not None
    return secure_kafka.security


def section(security: Security, protocol: str, mechanism: str | None = None) -> KafkaSection:
    """The configuration that works."""
    sasl, tls = protocol.startswith("SASL"), protocol.endswith("SSL")
    return KafkaSection(
        bootstrap=security.bootstrap[protocol],
        security_protocol=protocol,
        sasl_mechanism=mechanism,
        sasl_username=security.username if sasl else None,
        sasl_password=SecretStr(security.password) if sasl else None,
        ssl_cafile=security.ca_file if tls else None,
        ssl_certfile=security.cert_file if protocol == "SSL" else None,
        ssl_keyfile=security.key_file if protocol == "SSL" else None,
    )


async def first_value(config: KafkaSection, topic: str) -> bytes | None:
    """The oldest record of a topic, read by aiokafka."""
    consumer = AIOKafkaConsumer(topic, auto_offset_reset="earliest", **aiokafka_options(config))
    async with consumer, asyncio.timeout(30):
        value: bytes | None = (await consumer.getone()).value
        return value


@each_way
def test_kafka_python_gets_in(security: Security, prefix: str, protocol: str, mechanism: str | None) -> None:
    """The admin client creates and checks the topics."""
    connection = admin_options(section(security, protocol, mechanism))
    create(connection, plan(prefix, 1))
    assert check(connection, plan(prefix, 1)) == []


@each_way
async def test_aiokafka_gets_in(security: Security, prefix: str, protocol: str, mechanism: str | None) -> None:
    """A producer and a consumer."""
    config = section(security, protocol, mechanism)
    layout = plan(prefix, 1)
    create(admin_options(config), layout)
    async with AIOKafkaProducer(**aiokafka_options(config)) as producer:
        await producer.send_and_wait(layout.name("sessions"), b"sent by aiokafka")
    assert await first_value(config, layout.name("sessions")) == b"sent by aiokafka"


@each_way
async def test_faust_gets_in(security: Security, prefix: str, protocol: str, mechanism: str | None) -> None:
    """Its own producer sends, with the credentials that the app was given."""
    config = section(security, protocol, mechanism)
    layout = plan(prefix, 1)
    create(admin_options(config), layout)
    app = faust.App(f"{prefix}app", topic_allow_declare=False, **faust_options(config))
    await app.producer.start()
    try:
        await app.producer.send_and_wait(layout.name("sessions"), None, b"sent by Faust", 0, None, None)
    finally:
        await app.producer.stop()
    assert await first_value(config, layout.name("sessions")) == b"sent by Faust"


def refused(config: KafkaSection, timeout_s: float = 2) -> str:
    """The message with which connecting fails."""
    with pytest.raises(KafkaUnreachable) as caught, open_admin(admin_options(config), timeout_s=timeout_s):
        pass
    text = str(caught.value)
    del caught  # its traceback holds the client
    gc.collect()
    return text


@ignore_unclosed
@pytest.mark.parametrize("mechanism", SASL_MECHANISMS)
def test_a_wrong_password_is_told(security: Security, mechanism: str) -> None:
    """The message points at the user or says what the broker said, and keeps the password to itself."""
    wrong = section(security, "SASL_SSL", mechanism)
    config = KafkaSection(**{**vars(wrong), "sasl_password": SecretStr("battery staple")})
    text = refused(config, timeout_s=6)  # a busy broker takes its time
    assert "kafka.sasl_password" in text or "Authentication failed" in text
    assert "battery" not in text


@ignore_unclosed
def test_an_unknown_authority_is_refused(security: Security, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A certificate that nobody vouches for is not taken."""
    other = tmp_path_factory.mktemp("other") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(other)
    config = section(security, "SASL_SSL", "PLAIN")
    assert "CERTIFICATE_VERIFY_FAILED" in refused(KafkaSection(**{**vars(config), "ssl_cafile": other}))


@ignore_unclosed
def test_a_client_without_its_certificate_is_refused(security: Security) -> None:
    """The broker asks for one on its TLS listener."""
    config = section(security, "SSL")
    without = KafkaSection(**{**vars(config), "ssl_certfile": None, "ssl_keyfile": None})
    assert "certificate" in refused(without)
