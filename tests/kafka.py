"""A real Apache Kafka for tests: fetched by Maven once, one KRaft node on loopback, a few seconds to start.

`RealKafka` is a context manager; `start`, `stop`, `kill` and `restart` may be called in between, the data and the
ports stay until `close`. With `secure=True` it also listens with TLS and SASL (see `Security`). A watchdog process ends
the broker when the test process dies, whatever the manner, so that no Java stays behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import trustme
from cryptography.hazmat.primitives import serialization
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

KAFKA_VERSION: Final = "4.3.1"
LOG4J_VERSION: Final = "2.25.5"
PLUGIN_VERSION: Final = "3.8.1"
REQUIRE: Final = "FLOORPULSE_REQUIRE_KAFKA"
CACHE: Final = "FLOORPULSE_KAFKA_CACHE"
USERNAME: Final = "floorpulse"
PASSWORD: Final = "correct horse"
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 20.0
_ADDRESS: Final = "127.0.0.1"
_PROJECT: Final = Path(__file__).resolve().parent.parent

_POM: Final = f"""<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>floorpulse.tests</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <!-- Kafka's published POM lacks the logger itself. -->
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOG4J_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>{LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

_LOG4J: Final = """status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %c: %m%n
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
"""

# One node without replicas, small buffers, nothing created by accident, nothing deleted by age unless a topic says so;
# clean-up runs every second so that a test of compaction or deletion can see it.
_OPTIONS: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "broker.session.timeout.ms": "3000",  # after a kill the next start waits for it
    "broker.heartbeat.interval.ms": "500",
    "auto.create.topics.enable": "false",
    "log.retention.ms": "-1",
    "log.retention.bytes": "-1",
    "log.retention.check.interval.ms": "1000",
    "log.segment.delete.delay.ms": "1000",
    "log.cleaner.backoff.ms": "1000",
    "log.cleaner.dedupe.buffer.size": str(10 << 20),
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
}


@dataclass(frozen=True, slots=True)
class Security:
    """What a client needs for the secured listeners; `bootstrap` is by security protocol.

    `SSL` asks for a client certificate; `SASL_SSL` and `SASL_PLAINTEXT` know one user by PLAIN, SCRAM-SHA-256 and
    SCRAM-SHA-512.
    """

    bootstrap: Mapping[str, str]
    ca_file: Path
    cert_file: Path
    key_file: Path
    username: str = USERNAME
    password: str = PASSWORD


def required() -> bool:
    """Tell whether a missing Java or Maven is a failure instead of a reason to skip."""
    return os.environ.get(REQUIRE, "") not in ("", "0")


def available() -> str | None:
    """Return why no real Kafka can run here, or None."""
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if not missing:
        return None
    return f"a real Kafka needs {' and '.join(missing)} (Java 17, Maven); {REQUIRE}=1 makes this a failure"


def fetch() -> Path:
    """Return the folder with Kafka's jars; the first call copies them out of Maven's repository."""
    cache = Path(os.environ.get(CACHE) or _PROJECT / ".cache" / "kafka")
    jars = cache / f"{KAFKA_VERSION}-log4j-{LOG4J_VERSION}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test processes share the cache
        if jars.is_dir():
            return jars
        with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as folder:
            (Path(folder) / "pom.xml").write_text(_POM)
            goal = f"org.apache.maven.plugins:maven-dependency-plugin:{PLUGIN_VERSION}:copy-dependencies"
            command = ["mvn", "-B", "-ntp", "-q", goal, "-DincludeScope=runtime", "-DoutputDirectory=lib"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"Maven could not fetch Kafka {KAFKA_VERSION}:\n{done.stdout}{done.stderr}")
            (Path(folder) / "lib").rename(jars)
    return jars


class RealKafka:
    """One Kafka node in KRaft mode on free loopback ports, with its data in a temporary folder."""

    def __init__(self, *, secure: bool = False, options: Mapping[str, str] | None = None) -> None:
        self._secure = secure
        self._extra = dict(options or {})
        self._home = Path(tempfile.mkdtemp(prefix="floorpulse-kafka-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._classpath = ""
        self.security: Security | None = None
        self.bootstrap = ""

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def running(self) -> bool:
        """Tell whether the broker's process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Return the process number of the running broker."""
        if self._process is None:
            raise RuntimeError("the broker is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        """Return what the broker has written so far."""
        path = self._home / "broker.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> Self:
        """Start the broker (the first time: fetch, choose ports, format) and wait until it answers."""
        if self.running:
            return self
        if not self.bootstrap:
            self._prepare()
        with (self._home / "broker.log").open("ab") as out:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", "server.properties"),
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C is for the tests, which then stop the broker
            )
        self._watchdog = _watch(self._process.pid, self._home)
        self._await_answer()
        return self

    def stop(self) -> None:
        """End the broker in order; its data and ports stay for `start`."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the broker without warning."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop, and start again on the same ports with the same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop, and forget the data."""
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def _prepare(self) -> None:
        self._classpath = ":".join(str(jar) for jar in sorted(fetch().glob("*.jar")))
        names = ["PLAINTEXT", "CONTROLLER", *(["SSL", "SASL_SSL", "SASL_PLAINTEXT"] if self._secure else [])]
        listeners = {name: f"{_ADDRESS}:{port}" for name, port in zip(names, free_ports(len(names)), strict=True)}
        options = {
            **_OPTIONS,
            "controller.quorum.bootstrap.servers": listeners["CONTROLLER"],
            "listeners": ",".join(f"{name}://{address}" for name, address in listeners.items()),
            "advertised.listeners": ",".join(f"{n}://{a}" for n, a in listeners.items() if n != "CONTROLLER"),
            "listener.security.protocol.map": ",".join(f"{n}:{'PLAINTEXT' if n == 'CONTROLLER' else n}" for n in names),
            "log.dirs": str(self._home / "data"),
        }
        users: list[str] = []
        if self._secure:
            self.security = _certificates(self._home, listeners)
            options |= _secure_options(self._home)
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                users += ["--add-scram", f"{mechanism}=[name={USERNAME},password={PASSWORD}]"]
        options |= self._extra
        (self._home / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in options.items()))
        (self._home / "log4j2.properties").write_text(_LOG4J)
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        form = ["format", "--standalone", f"--cluster-id={cluster}", "-c", "server.properties", *users]
        command = self._java("kafka.tools.StorageTool", *form)
        done = subprocess.run(command, cwd=self._home, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")
        self.bootstrap = listeners["PLAINTEXT"]

    def _java(self, main: str, *arguments: str) -> list[str]:
        small = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        logs = "-Dlog4j2.configurationFile=log4j2.properties"
        return ["java", *small, logs, "-cp", self._classpath, main, *arguments]

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        host, port = self.bootstrap.split(":")
        while self.running and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection((host, int(port)), timeout=1).close()
                if _answers(self.bootstrap):  # an open port says nothing yet
                    return
            time.sleep(0.05)
        text = self.log[-4000:]
        self.kill()
        raise RuntimeError(f"Kafka did not answer on {self.bootstrap} within {START_TIMEOUT_S:.0f} s:\n{text}")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            watchdog.kill()
            watchdog.communicate()


def _watch(pid: int, home: Path) -> subprocess.Popen[bytes]:
    """Start a process that kills `pid` and removes `home` when our end of its pipe closes, as it does when we die."""
    command = ["sh", "-c", 'cat; kill -9 "$1"; rm -rf "$2"', "watchdog", str(pid), str(home)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)


def _answers(bootstrap: str) -> bool:
    try:
        admin = KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=15_000)
    except KafkaError:
        return False
    try:
        return bool(admin.describe_cluster()["brokers"])
    finally:
        admin.close()


def free_ports(count: int) -> Iterator[int]:
    """Return different ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_ADDRESS, 0))
        ports = [each.getsockname()[1] for each in sockets]
    return iter(ports)


def _certificates(home: Path, listeners: Mapping[str, str]) -> Security:
    authority = trustme.CA()
    server = authority.issue_cert(_ADDRESS, "localhost")
    client = authority.issue_cert("client@floorpulse.test")
    authority.cert_pem.write_to_path(home / "ca.pem")
    for name, issued in (("server", server), ("client", client)):
        key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), password=None)
        pkcs8 = key.private_bytes(  # the only form that Kafka reads
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        (home / f"{name}.key").write_bytes(pkcs8)
        (home / f"{name}.pem").write_bytes(chain)
        (home / f"{name}-both.pem").write_bytes(pkcs8 + chain)
    secured = {name: address for name, address in listeners.items() if name.startswith(("SSL", "SASL"))}
    return Security(secured, home / "ca.pem", home / "client.pem", home / "client.key")


def _secure_options(home: Path) -> dict[str, str]:
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
    options = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(home / "server-both.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(home / "ca.pem"),
        "listener.name.ssl.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
    }
    for listener in ("sasl_ssl", "sasl_plaintext"):
        name = f"listener.name.{listener}"
        options[f"{name}.plain.sasl.jaas.config"] = f'{plain} required user_{USERNAME}="{PASSWORD}";'
        options[f"{name}.scram-sha-256.sasl.jaas.config"] = f"{scram} required;"
        options[f"{name}.scram-sha-512.sasl.jaas.config"] = f"{scram} required;"
    return options
