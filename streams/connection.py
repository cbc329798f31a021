"""How the `kafka` section of the configuration reaches each of the three clients.

One description goes in; out come keyword arguments for kafka-python (`admin_options`) and aiokafka
(`aiokafka_options`), and broker addresses with credentials for Faust (`faust_options`). All of them get the same
`ssl.SSLContext`, so that a certificate is judged in one way. `open_admin` connects kafka-python's admin client and
says in one line why it cannot.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

from faust.auth import SASLCredentials, SSLCredentials
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, KafkaProtocolError
from pydantic import SecretStr

from schemas.errors import ConfigError, FloorpulseError, KafkaRefused, KafkaUnreachable

SASL_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
SECURITY_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
CONNECT_TIMEOUT_S: Final = 10.0
COMPRESSION: Final = "zstd"
"""What takes least for its result: gzip as aiokafka uses it (level 9) and lz4 (level 9) cost a worker a quarter of its CPU."""
_SECRET_KEYS: Final = frozenset({"sasl_plain_password"})


class KafkaSettings(Protocol):
    """What of the configuration's `kafka` section matters for connecting."""

    @property
    def bootstrap(self) -> list[str] | str:
        """Give the brokers to ask first, `host:port` each."""

    @property
    def security_protocol(self) -> str:
        """Give one of `SECURITY_PROTOCOLS`."""

    @property
    def sasl_mechanism(self) -> str | None:
        """Give one of `SASL_MECHANISMS`; it counts only with a SASL protocol."""

    @property
    def sasl_username(self) -> str | None:
        """Give the user's name for SASL."""

    @property
    def sasl_password(self) -> SecretStr | None:
        """Give the password for SASL."""

    @property
    def ssl_cafile(self) -> Any:
        """Give the path of the authorities to trust; None means the system's."""

    @property
    def ssl_certfile(self) -> Any:
        """Give the path of the client's certificate chain, or None."""

    @property
    def ssl_keyfile(self) -> Any:
        """Give the path of the client's private key, or None if it is in `ssl_certfile`."""

    @property
    def ssl_check_hostname(self) -> bool:
        """Tell whether the broker's certificate must name the host."""


class Options(dict[str, Any]):
    """Keyword arguments of a client; the password does not show in the repr."""

    def __repr__(self) -> str:
        return repr({key: "***" if key in _SECRET_KEYS else value for key, value in self.items()})

    __str__ = __repr__


def bootstrap_servers(config: KafkaSettings) -> list[str]:
    """Return the broker addresses as a list; text may hold several, with commas between."""
    given = config.bootstrap.split(",") if isinstance(config.bootstrap, str) else config.bootstrap
    servers = [server.strip() for server in given if server.strip()]
    if not servers:
        raise ConfigError('kafka.bootstrap is empty; name at least one broker, for example "localhost:9092"')
    return servers


def ssl_context(config: KafkaSettings) -> ssl.SSLContext | None:
    """Build the TLS settings, or return None for a protocol without TLS."""
    if config.security_protocol not in ("SSL", "SASL_SSL"):
        return None
    context = _trusting(config.ssl_cafile)
    context.check_hostname = config.ssl_check_hostname
    if config.ssl_certfile is not None:
        try:
            context.load_cert_chain(config.ssl_certfile, config.ssl_keyfile)
        except (OSError, ssl.SSLError) as error:
            where = f"kafka.ssl_certfile {config.ssl_certfile}, kafka.ssl_keyfile {config.ssl_keyfile}"
            raise ConfigError(
                f"cannot use the client certificate ({where}): {_why(error)}. "
                "Both must be readable PEM files of one pair"
            ) from error
    return context


def admin_options(config: KafkaSettings) -> Options:
    """Return the keyword arguments for any client of kafka-python."""
    return _options(config)


def aiokafka_options(config: KafkaSettings) -> Options:
    """Return the keyword arguments for any client of aiokafka."""
    return _options(config)


def faust_options(config: KafkaSettings) -> dict[str, Any]:
    """Return the settings `broker` and `broker_credentials` of a Faust app."""
    return {
        "broker": [f"kafka://{server}" for server in bootstrap_servers(config)],
        "broker_credentials": _credentials(config),
    }


def servers_of(connection: Mapping[str, Any]) -> str:
    """Return where the brokers are, for a person."""
    servers = connection["bootstrap_servers"]
    return servers if isinstance(servers, str) else ",".join(servers)


@contextmanager
def open_admin(connection: Mapping[str, Any], *, timeout_s: float = CONNECT_TIMEOUT_S) -> Iterator[KafkaAdminClient]:
    """Connect kafka-python's admin client for the length of a `with`; raises `KafkaUnreachable`.

    What answers in no way that the client understands is told by `KafkaRefused`, as is what a broker refuses meanwhile and
    nobody has caught.

    Between the tries kafka-python waits longer and longer, and only its log tells why they failed; it is read here
    and kept from stderr.
    """
    with _failures() as failures:
        try:
            admin = _Admin(bootstrap_timeout_ms=int(timeout_s * 1000), **connection)
        except (KafkaError, OSError) as error:
            raise _not_connected(connection, timeout_s, failures or [error]) from error
    try:
        yield admin
    except KafkaError as error:
        why = str(error) or type(error).__name__
        raise KafkaRefused(f"{servers_of(connection)} did not do what it was asked (kafka.bootstrap): {why}") from error
    finally:
        admin.close()


class _Admin(KafkaAdminClient):  # type: ignore[misc]  # kafka-python has no types
    """An admin client that leaves no thread and no socket behind when it cannot connect."""

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except BaseException:
            self._closed = False  # otherwise close() does nothing
            self.close()
            raise


class _Failures(logging.Handler):
    """Keep the exceptions that kafka-python logs while it connects."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "kafka.net.manager" and record.levelno == logging.WARNING and isinstance(record.args, tuple):
            self.seen += [each for each in record.args if isinstance(each, BaseException)]


@contextmanager
def _failures() -> Iterator[list[BaseException]]:
    logger, handler = logging.getLogger("kafka"), _Failures()
    before = logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    try:
        yield handler.seen
    finally:
        logger.removeHandler(handler)
        logger.propagate, logger.level = before


def _not_connected(connection: Mapping[str, Any], timeout_s: float, failures: list[BaseException]) -> FloorpulseError:
    """Say that nobody answers, or that somebody does, but not as a Kafka would."""
    servers = servers_of(connection)
    tries = ("1 try" if len(failures) == 1 else f"{len(failures)} tries") + f" in {timeout_s:g} s"
    answers = [failure for failure in failures if isinstance(failure, KafkaProtocolError)]
    if answers:
        return KafkaRefused(no_administration(servers, tries, str(answers[-1])))
    return KafkaUnreachable(unreachable(servers, tries, _reason(failures, sasl="sasl_mechanism" in connection)))


def unreachable(servers: str, tries: str, reason: str) -> str:
    """Say that Kafka cannot be reached, and what to look at."""
    return (
        f"cannot reach Kafka at {servers} (kafka.bootstrap; {tries}: {reason}). Check that the broker runs and that its "
        "advertised listener is reachable from here. Without Kafka: floorpulse demo"
    )


def no_administration(servers: str, tries: str, reason: str) -> str:
    """Say that something answers, though not as a Kafka would, and what it may be."""
    return (
        f"what answers at {servers} does not speak as Kafka does to an administrator's client (kafka.bootstrap; {tries}: {reason})"
        ". The embedded broker of floorpulse demo takes no administrative requests, and has its topics already; of another one "
        "check the port and kafka.security_protocol"
    )


def _reason(failures: list[BaseException], *, sasl: bool) -> str:
    """Say why, from the most telling of the failures: after a refusal kafka-python often sees a closed socket only."""
    texts = [str(failure).removeprefix("KafkaConnectionError: ") for failure in failures]
    telling = [text for text in texts if "Authentication failed" in text] or [
        text for text in texts if text != "socket disconnected" and "timed out" not in text
    ]
    if telling:
        return "connection refused" if "ECONNREFUSED" in telling[-1] else telling[-1]
    if sasl:
        return "the broker closed the connection, as it does for a wrong kafka.sasl_username or kafka.sasl_password"
    return texts[-1]


def _options(config: KafkaSettings) -> Options:
    options = Options(bootstrap_servers=bootstrap_servers(config), security_protocol=_protocol(config))
    context = ssl_context(config)
    if context is not None:
        options["ssl_context"] = context
    options.update(_sasl(config))
    return options


def _protocol(config: KafkaSettings) -> str:
    if config.security_protocol not in SECURITY_PROTOCOLS:
        known = ", ".join(SECURITY_PROTOCOLS)
        raise ConfigError(f"kafka.security_protocol {config.security_protocol!r} is unknown; use one of {known}")
    return config.security_protocol


def _sasl(config: KafkaSettings) -> Mapping[str, str]:
    protocol = _protocol(config)
    if not protocol.startswith("SASL_"):
        return {}
    if config.sasl_mechanism not in SASL_MECHANISMS:
        known = ", ".join(SASL_MECHANISMS)
        raise ConfigError(f"kafka.sasl_mechanism {config.sasl_mechanism!r} cannot be used; use one of {known}")
    if not config.sasl_username or config.sasl_password is None:
        raise ConfigError(
            f"kafka.security_protocol {protocol} needs kafka.sasl_username and kafka.sasl_password "
            "(environment FLOORPULSE_KAFKA__SASL_PASSWORD)"
        )
    return {
        "sasl_mechanism": config.sasl_mechanism,
        "sasl_plain_username": config.sasl_username,
        "sasl_plain_password": config.sasl_password.get_secret_value(),
    }


def _credentials(config: KafkaSettings) -> SASLCredentials | SSLCredentials | None:
    context = ssl_context(config)
    sasl = _sasl(config)
    if sasl:
        return SASLCredentials(
            username=sasl["sasl_plain_username"],
            password=sasl["sasl_plain_password"],
            mechanism=sasl["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else SSLCredentials(context)


def _trusting(cafile: Any) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if cafile is None else str(cafile))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"cannot read the authorities in kafka.ssl_cafile {cafile}: {_why(error)}. It must be a readable PEM file"
        ) from error


def _why(error: OSError) -> str:
    return error.strerror or str(error)


__all__ = [
    "SASL_MECHANISMS",
    "KafkaSettings",
    "Options",
    "admin_options",
    "aiokafka_options",
    "bootstrap_servers",
    "faust_options",
    "no_administration",
    "open_admin",
    "servers_of",
    "ssl_context",
    "unreachable",
]
