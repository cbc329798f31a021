"""The shape of the project: imports point one way, public names are documented, the wheel is complete."""

from __future__ import annotations

import ast
import graphlib
import importlib
import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from schemas import errors

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("schemas", "streams", "sinks")

CORE_LIBRARIES: Final = frozenset({"msgspec", "sortedcontainers", "tzdata", "xxhash"})
"""What the core may take from the declared dependencies: data structures and encoding, no input or output."""

CORE_FORBIDS: Final = frozenset(
    {
        *("asyncio", "concurrent", "multiprocessing", "select", "selectors", "signal", "threading"),
        *("glob", "io", "logging", "os", "pathlib", "shutil", "subprocess", "tempfile"),
        *("http", "random", "socket", "time", "urllib", "uuid"),
    }
)
"""Of the standard library, what knows a clock, a log, a file, a network or chance."""


def modules() -> dict[str, Path]:
    """Every module of the three packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES: Final = modules()

each_module = pytest.mark.parametrize("name", MODULES)


def imports(name: str, *, at_start: bool = False) -> set[str]:
    """What a module imports, dotted; `at_start`: only what runs when it is imported."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in _at_start(tree) if at_start else ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            whole = {f"{base}.{alias.name}" for alias in node.names}
            found.update((whole & MODULES.keys()) or {base})
            found.update({base} if whole - MODULES.keys() else set())
    return found


def _at_start(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _at_start(child)


def inside(name: str, package: str) -> bool:
    """Tell whether a module belongs to a package."""
    return name == package or name.startswith(f"{package}.")


def ours(name: str) -> set[str]:
    """What a module imports of this project."""
    return {found for found in imports(name) if found.split(".")[0] in {*PACKAGES, "tests"}}


@pytest.mark.parametrize("name", [name for name in MODULES if inside(name, "schemas")])
def test_schemas_stand_alone(name: str) -> None:
    """They know nothing of who uses them."""
    assert {found for found in ours(name) if not inside(found, "schemas")} == set()


@pytest.mark.parametrize("name", [name for name in MODULES if inside(name, "sinks")])
def test_sinks_know_schemas_only(name: str) -> None:
    """A board reads readings; it shares no code with the worker."""
    assert {found for found in ours(name) if not (inside(found, "sinks") or inside(found, "schemas"))} == set()


@pytest.mark.parametrize("name", [name for name in MODULES if inside(name, "streams.core")])
def test_the_core_is_pure(name: str) -> None:
    """It imports itself, schemas, harmless standard modules and data structures."""
    allowed = (sys.stdlib_module_names - CORE_FORBIDS) | CORE_LIBRARIES
    odd = {found for found in imports(name) if found.split(".")[0] not in allowed}
    assert {found for found in odd if not (inside(found, "streams.core") or inside(found, "schemas"))} == set()


@each_module
def test_the_product_does_not_import_its_tests(name: str) -> None:
    """They are not in the wheel."""
    assert not any(inside(found, "tests") for found in imports(name))


@each_module
def test_only_declared_libraries_are_imported(name: str) -> None:
    """A library that comes with another may leave with it (pydantic_core is a part of pydantic)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *extras["demo"], *extras["parquet"]]
    names = {re.split(r"[\[=<>!~ ;]", each)[0].lower().replace("-", "_") for each in declared}
    known = names | {"faust", "kafka", "pydantic_core", "yaml"} | sys.stdlib_module_names | set(PACKAGES)
    assert {found for found in imports(name) if found.split(".")[0] not in known} == set()


def test_imports_have_no_cycle() -> None:
    """So that every module can be understood, and imported, by itself."""
    graph = {name: {found for found in imports(name, at_start=True) if found in MODULES} - {name} for name in MODULES}
    tuple(graphlib.TopologicalSorter(graph).static_order())


@each_module
def test_no_module_is_named_like_one_of_the_standard_library(name: str) -> None:
    """Neither readers nor tools should have to tell them apart."""
    assert name.rpartition(".")[2] not in sys.stdlib_module_names


@each_module
def test_exported_names_exist_and_are_documented(name: str) -> None:
    """A module has a docstring; what it exports is there; classes and functions say what they are for."""
    module = importlib.import_module(name)
    assert module.__doc__
    exported = getattr(module, "__all__", ())
    assert len(exported) == len(set(exported))
    assert [each for each in exported if not hasattr(module, each)] == []
    assert [each for each in exported if not _documented(getattr(module, each))] == []


def _documented(value: object) -> bool:
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return True
    doc = value.__doc__ or ""
    return bool(doc) and not doc.startswith(f"{value.__name__}(")  # what a dataclass writes by itself


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    """At the top of their module: each class once, under its parent."""
    drawn: list[tuple[str, str]] = []
    path = ["Exception"]
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ([│├└─ ]*)([A-Z]\w+)  ", line):
            depth = len(found[1]) // 4
            path[depth + 1 :] = [found[2]]
            drawn.append((found[2], path[depth]))
    classes = [each for _, each in inspect.getmembers(errors, inspect.isclass) if each.__module__ == errors.__name__]
    assert sorted(drawn) == sorted((each.__name__, each.__base__.__name__) for each in classes if each.__base__)


def test_the_architecture_page_names_every_module() -> None:
    """In its table of packages; the simulator's modules go by the name of their package."""
    rooms = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Packages")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([\w/]+?)/?`", rooms))
    expected = {name for name, path in MODULES.items() if path.name != "__init__.py" and not inside(name, "streams.simulator")}
    assert {name for name in expected if name.rpartition(".")[2] not in named} == set()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel, installed alone into a folder."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("installed")
    _run("-m", "build", "--wheel", "--no-isolation", "--outdir", wheels, ROOT, cwd=wheels)
    _run("-m", "pip", "install", "--quiet", "--no-deps", "--target", target, *wheels.glob("*.whl"), cwd=wheels)
    return target


def _run(*arguments: str | Path, cwd: Path, path: Path | None = None) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "FLOORPULSE_"))}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_every_file(installed: Path) -> None:
    """Static files too, and nothing else; what was compiled here is of this machine only."""
    files = {
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".so") and path.name != "Cargo.lock" and "target" not in path.parts
    }
    found = {
        path.relative_to(installed)
        for path in installed.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.relative_to(installed).parts[0] in PACKAGES
    }
    assert found == files


def test_the_wheel_works_with_the_source_out_of_the_way(installed: Path, tmp_path: Path) -> None:
    """Each module is imported from where the wheel was put."""
    names = [name for name in MODULES if not name.endswith("__main__")]
    program = f"import importlib\nfor name in {names!r}: print(importlib.import_module(name).__file__)"
    places = _run("-c", program, cwd=tmp_path, path=installed).split("\n")[:-1]
    assert len(places) == len(names)
    assert [place for place in places if not Path(place).is_relative_to(installed)] == []


@pytest.mark.skipif("streams.cli" not in MODULES, reason="the command line is not written yet")
def test_the_command_line_of_the_wheel_answers(installed: Path, tmp_path: Path) -> None:
    """From any folder."""
    assert "Usage" in _run("-m", "streams.cli", "--help", cwd=tmp_path, path=installed)
