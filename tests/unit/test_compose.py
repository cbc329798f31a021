"""What `docker compose up` starts, checked without an engine: form, rights, mounted files, the image's steps."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from schemas.config import Config
from tests.compose import FILE, FOLDER, ROOT, compose, mounts, ours, services
from tests.promtool import need

DOCKERFILE: Final = FOLDER / "Dockerfile"
PACKAGES: Final = ("schemas", "sinks", "streams")
ONE_SHOT: Final = {"topics"}
NO_HEALTH: Final = {"topics", "simulator"}
"""One that ends, and one that listens on nothing."""
WRITES: Final = {"kafka"}
"""Whose image writes beside its program."""

each_service = pytest.mark.parametrize("name", services())


def run(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """What a program says; a failure shows it."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def beside(program: str) -> Path:
    """A program that was installed with the tests."""
    return Path(sys.executable).parent / program


def test_the_file_has_the_form_of_a_compose_file() -> None:
    """By the schema of the compose specification."""
    run(beside("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", FILE)


def test_docker_itself_can_read_the_file() -> None:
    """Where its compose plugin is installed."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    run(docker, "compose", "-f", FILE, "--profile", "simulator", "config", "--quiet")


def test_hadolint_has_nothing_to_say() -> None:
    """No rule is switched off."""
    assert "hadolint ignore" not in DOCKERFILE.read_text(encoding="utf-8")
    run(beside("hadolint"), "--no-color", DOCKERFILE)


@each_service
def test_images_are_pinned(name: str) -> None:
    """To a version; nothing floats."""
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", services()[name]["image"])


def test_the_image_is_pinned_too() -> None:
    """Both stages start from the same version of Python, which the project supports."""
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases[0])


@each_service
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    """No capabilities, no new privileges, a read-only root, ports on loopback, files read-only, logs bounded or few."""
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("read_only", False) == (name not in WRITES)
    assert [port for port in service.get("ports", ()) if not port.startswith("127.0.0.1:")] == []
    assert [source for source, _, read_only in mounts(service) if source.startswith(".") and not read_only] == []


@each_service
def test_a_service_comes_back_and_says_how_it_is(name: str) -> None:
    """Restarted unless stopped; healthy only when its own address answers."""
    service = services()[name]
    assert service["restart"] == ("on-failure:3" if name in ONE_SHOT else "unless-stopped")
    assert ("healthcheck" in service) == (name not in NO_HEALTH)


@each_service
def test_what_a_service_waits_for_can_come(name: str) -> None:
    """Who is waited for is there, and has a health check where health is waited for."""
    there = services()
    for other, condition in services()[name].get("depends_on", {}).items():
        wanted = condition["condition"]
        assert wanted in ("service_healthy", "service_completed_successfully", "service_started")
        assert wanted != "service_healthy" or "healthcheck" in there[other]
        assert wanted != "service_completed_successfully" or other in ONE_SHOT


@each_service
def test_what_is_mounted_exists(name: str) -> None:
    """Files and folders beside the compose file, and volumes that are declared."""
    for source, _, _ in mounts(services()[name]):
        assert (FOLDER / source).exists() if source.startswith(".") else source in compose()["volumes"]


def test_the_settings_are_valid(tmp_path: Path) -> None:
    """The mounted floorpulse.yaml and the environments of the services pass `floorpulse check-config`."""
    shutil.copy(FOLDER / "floorpulse.yaml", tmp_path)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FLOORPULSE_")} | {"PYTHONPATH": str(ROOT)}
    for service in ours().values():
        environment |= service["environment"]
    said = yaml.safe_load(run(sys.executable, "-m", "streams.cli", "check-config", cwd=tmp_path, env=environment))
    assert said["kafka"]["bootstrap"] == ["kafka:19092"]
    assert (said["worker"]["listen"], said["board"]["listen"]) == ("0.0.0.0:9465", "0.0.0.0:9464")


def test_all_parts_of_floorpulse_share_their_settings() -> None:
    """Worker and board must count by the same; only their own addresses differ."""
    environments = [service["environment"] for service in ours().values()]
    assert len({each["FLOORPULSE_KAFKA__BOOTSTRAP"] for each in environments}) == 1
    assert {key for each in environments for key in each} == {
        "FLOORPULSE_KAFKA__BOOTSTRAP",
        "FLOORPULSE_WORKER__LISTEN",
        "FLOORPULSE_BOARD__LISTEN",
    }
    assert len({str(service["volumes"]) for service in ours().values()}) == 1


def test_kafka_is_where_its_clients_look_for_it() -> None:
    """Inside the network by its name, from this machine on loopback, where the port is published."""
    kafka, settings = services()["kafka"], services()["kafka"]["environment"]
    advertised = dict(each.split("://") for each in settings["KAFKA_ADVERTISED_LISTENERS"].split(","))
    listeners = dict(each.split("://") for each in settings["KAFKA_LISTENERS"].split(","))
    opened = {name: address.rpartition(":")[2] for name, address in listeners.items()}
    assert advertised["INSIDE"] == ours()["worker"]["environment"]["FLOORPULSE_KAFKA__BOOTSTRAP"]
    assert kafka["ports"] == [f"{advertised['OUTSIDE']}:{opened['OUTSIDE']}"]
    assert advertised["OUTSIDE"] in Config().kafka.bootstrap
    assert [settings["KAFKA_LOG_DIRS"]] == [target for _, target, _ in mounts(kafka)]


def test_prometheus_scrapes_what_runs(tmp_path: Path) -> None:
    """The configuration and its rules pass promtool; each job finds its service at the port where it listens."""
    shutil.copytree(FOLDER / "prometheus", tmp_path / "prometheus")
    file = tmp_path / "prometheus" / "prometheus.yml"
    file.write_text(file.read_text(encoding="utf-8").replace("/etc/prometheus/", f"{tmp_path}/prometheus/"), encoding="utf-8")
    run(need("promtool"), "check", "config", file)
    scraped = yaml.safe_load(file.read_text(encoding="utf-8"))["scrape_configs"]
    jobs = {each["job_name"]: each["dns_sd_configs"][0] for each in scraped}
    for kind in ("board", "worker"):
        listen = ours()[kind]["environment"][f"FLOORPULSE_{kind.upper()}__LISTEN"]
        assert listen == f"0.0.0.0:{jobs[f'floorpulse-{kind}']['port']}"
        assert jobs[f"floorpulse-{kind}"]["names"] == [kind]
    assert _grafana_source()["url"] == "http://prometheus:9090"


def test_alertmanager_can_read_its_settings() -> None:
    """And Prometheus sends to where it listens."""
    run(need("amtool"), "check-config", FOLDER / "alertmanager" / "alertmanager.yml")
    settings = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    assert settings["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["alertmanager:9093"]


def _grafana_source() -> dict[str, Any]:
    text = (ROOT / "grafana" / "provisioning" / "datasources" / "prometheus.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["datasources"][0]
    return found


def test_grafana_finds_its_dashboards() -> None:
    """Where the provider looks they are mounted; the home page is one of them; the interval is that of the scrapes."""
    grafana = services()["grafana"]
    places = {target: FOLDER / source for source, target, _ in mounts(grafana)}
    assert places["/etc/grafana/provisioning"].samefile(ROOT / "grafana" / "provisioning")
    provider = yaml.safe_load((places["/etc/grafana/provisioning"] / "dashboards" / "floorpulse.yaml").read_text(encoding="utf-8"))
    folder = provider["providers"][0]["options"]["path"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == folder
    assert (places[folder] / home.name).exists()
    scraped = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))["global"]["scrape_interval"]
    assert _grafana_source()["jsonData"]["timeInterval"] == scraped


# -- the image


def steps() -> list[list[str]]:
    """The Dockerfile's instructions as words, continued lines joined, comments left out."""
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text(encoding="utf-8"))
    return [shlex.split(line) for line in text.splitlines() if line and not line.startswith("#")]


def in_context(path: Path) -> bool:
    """Whether a file of the repository is sent to the builder: the last line of .dockerignore that fits decides."""
    inside, name = True, path.relative_to(ROOT).as_posix()
    parts = [name, *(parent.as_posix() for parent in Path(name).parents if parent.name)]
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern, anywhere = re.subn(r"^!?\*\*/", "", line)
        found = [Path(part).name if anywhere else part for part in parts]
        if line and not line.startswith("#") and any(fnmatch(part, pattern.removeprefix("!")) for part in found):
            inside = line.startswith("!")
    return inside


def copied() -> Iterator[tuple[Path, Path]]:
    """Files that the build stage copies: from the repository, to the path below its working directory."""
    for _, *words in (step for step in steps() if step[0] == "COPY" and not step[1].startswith("--from")):
        *sources, target = words
        for source in (ROOT / each for each in sources):
            whole = source.is_dir()
            for file in source.rglob("*") if whole else [source]:
                if file.is_file() and in_context(file):
                    yield file, Path(target) / (file.relative_to(source) if whole else file.name)


def test_the_context_holds_the_program_and_nothing_else() -> None:
    """No secrets, no history, no tests; every file of the three packages is there, compiled ones left out."""
    sent = {file.relative_to(ROOT) for file, _ in copied()}
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    assert {path.relative_to(ROOT) for path in files if path.suffix != ".pyc"} == {
        path for path in sent if path.parts[0] in PACKAGES
    }
    assert {str(path) for path in sent if path.parts[0] not in PACKAGES} == {
        "pyproject.toml", "constraints.txt", "README.md", "LICENSE",
    }  # fmt: skip
    assert not in_context(ROOT / ".git" / "config")
    assert not in_context(ROOT / "schemas" / "__pycache__" / "x.pyc")


def test_the_image_runs_as_nobody_in_particular() -> None:
    """The last stage names a user by number, and the entry is the program."""
    last = steps()[max(number for number, step in enumerate(steps()) if step[0] == "FROM") :]
    assert [step[1] for step in last if step[0] == "USER"] == ["10001:10001"]
    assert last[-2:] == [["ENTRYPOINT", "[floorpulse]"], ["CMD", "[--help]"]]


@pytest.mark.timeout(300)
def test_the_steps_of_the_image_work_in_a_fresh_environment(tmp_path: Path) -> None:
    """The build stage's files and commands, without a compiler: wheels only. The program then starts from any folder."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the image has Python 3.11")
    source, target = tmp_path / "src", tmp_path / "floorpulse"
    for file, below in copied():
        (source / below).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, source / below)
    (command,) = [step[1:] for step in steps() if step[0] == "RUN" and "pip" in step]
    script = shlex.join(command).replace("/opt/floorpulse", str(target)).replace("'&&'", "&&").replace("--no-cache-dir ", "")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "FLOORPULSE_", "VIRTUAL"))}
    environment |= {
        "PIP_ONLY_BINARY": ":all:",
        "PIP_NO_COMPILE": "1",
        "PATH": f"{Path(sys.base_prefix) / 'bin'}:{environment['PATH']}",
    }
    run("sh", "-ec", script, cwd=source, env=environment)
    away = tmp_path / "away"
    away.mkdir()
    shutil.rmtree(source)
    said = run(target / "bin" / "floorpulse", "--help", cwd=away, env=environment)
    assert {service["command"][0] for service in ours().values()} <= set(said.split())
    run(target / "bin" / "python", "-m", "pip", "check", cwd=away, env=environment)
