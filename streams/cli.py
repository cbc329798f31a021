"""The command line: `floorpulse`.

Commands only read their options and call what does the work; that is imported inside each command, so that `--help` is quick.
Exit status: 0 done, 1 it failed, 2 wrong use or bad configuration. An error is one line on stderr; `--debug` adds the traceback.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
from io import TextIOWrapper
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from schemas.errors import ConfigError, FloorpulseError, UsageError
from streams.outputs import printable

if TYPE_CHECKING:
    from schemas.config import Config
    from streams.deadletters import Wanted

app = typer.Typer(
    name="floorpulse",
    help="Live contact-centre numbers from your Kafka events: Prometheus gauges, a wall-screen, alerts.",
    epilog="Example: floorpulse demo   (no Kafka, no Docker, no Java). With --debug an error shows its traceback.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_USAGE_ERROR: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
"""Base of what typer raises for wrong options; of its own copy of click it exports only `BadParameter`."""

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="configuration file (default: floorpulse.yaml where it exists)", metavar="FILE")
]
CheckedOption = Annotated[
    Path | None, typer.Option("--config", help="configuration file; checked, but nothing here depends on it", metavar="FILE")
]
SeedOption = Annotated[int, typer.Option("--seed", help="the same seed gives the same centre")]
_REMEDIES: Final = {errno.ENOSPC: ": make room, or write elsewhere", errno.EACCES: ": ask for the right to it, or name another"}
DurationOption = Annotated[str | None, typer.Option("--duration", help="stop after this long, e.g. 60s or 10m")]


def _config(path: Path | None, **changes: Any) -> Config:
    """Load the configuration, with command-line options on top: section → changed keys."""
    from schemas.config_file import load

    return _changed(load(path), **changes)


def _changed(config: Config, **changes: Any) -> Config:
    """Return a configuration with options on top, which are held to what the file may say."""
    from pydantic import ValidationError

    for name, values in changes.items():
        section = getattr(config, name)
        wanted = {key: value for key, value in values.items() if value is not None}
        try:
            type(section)(**wanted)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            message = first["msg"].removeprefix("Value error, ")
            raise UsageError(f"{name}.{first['loc'][0]}: {message} ({first['input']!r:.80})") from None
        config = config.model_copy(update={name: section.model_copy(update=wanted)})
    return config


def _check(path: Path | None) -> None:
    """Refuse a bad configuration where one was named, though the command needs none."""
    if path is not None:
        _config(path)


def _duration_ms(text: str | None, option: str, least_ms: int = 0) -> int | None:
    from pydantic_core import PydanticCustomError

    from schemas.durations import parse_duration

    if text is None:
        return None
    try:
        found = parse_duration(text)
    except PydanticCustomError as error:
        raise UsageError(f"{option} {text!r} {error.message()}") from None
    if found < least_ms:
        raise UsageError(f"{option} {text!r} must be longer than 0: write, e.g., {option} 10m")
    return found


@app.command(epilog="Example: floorpulse demo --duration 60s")
def demo(
    duration: DurationOption = None,
    speed: Annotated[float, typer.Option(help="simulated seconds per second; limits in seconds mean little above 1")] = 1.0,
    queues: Annotated[int, typer.Option(min=1, max=300, help="number of queues")] = 6,
    agents: Annotated[int | None, typer.Option(min=1, max=5000, help="agents on duty (default: what the queues need, 64)")] = None,
    seed: SeedOption = 1,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT of the board", metavar="HOST:PORT")] = None,
    config: ConfigOption = None,
) -> None:
    """Run everything on this machine: embedded broker, simulated contact centre, worker, board. Ctrl-C ends it."""
    from streams.demo import run_demo

    if not 0 < speed < inf:
        raise UsageError(f"--speed {speed:g} is not a finite number above 0; write, e.g., --speed 2")
    length_ms = _duration_ms(duration, "--duration", least_ms=1)
    settings = _config(config, board={"listen": listen})
    run_demo(settings, duration_ms=length_ms, speed=speed, queues=queues, agents=agents, seed=seed)


@app.command(epilog="Example: floorpulse worker --config floorpulse.yaml")
def worker(
    config: ConfigOption = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT of its own /metrics", metavar="HOST:PORT")] = None,
) -> None:
    """Run one stream worker against the configured Kafka. Any number of them share the partitions."""
    from streams.run import run_worker

    run_worker(_config(config, worker={"listen": listen}))


@app.command(epilog="Example: floorpulse board --listen 127.0.0.1:9464")
def board(
    config: ConfigOption = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT of the board", metavar="HOST:PORT")] = None,
) -> None:
    """Run one board: /metrics, wall-screen, JSON API. Any number of them may run."""
    from streams.run import run_board

    run_board(_config(config, board={"listen": listen}))


@app.command(epilog="Example: floorpulse topics --create --partitions 12")
def topics(
    create: Annotated[bool, typer.Option("--create", help="create what is missing (without it, only check)")] = False,
    partitions: Annotated[int | None, typer.Option(min=1, max=1024, help="partitions of each co-partitioned topic")] = None,
    prefix: Annotated[str | None, typer.Option(help="topic prefix, e.g. acme. (default: kafka.topic_prefix)")] = None,
    replication: Annotated[int, typer.Option(min=-1, max=32_767, help="replication factor; -1 = the broker's default")] = -1,
    config: ConfigOption = None,
) -> None:
    """Create or check the topics: partitions, compaction, retention."""
    from streams.run import run_topics

    settings = _config(config, kafka={"topic_prefix": prefix})
    for line in run_topics(settings, create=create, partitions=partitions, replication=replication):
        typer.echo(line)


@app.command(epilog="Example: floorpulse simulate --duration 10m --out events.jsonl")
def simulate(
    rate: Annotated[float | None, typer.Option(min=0.1, help="events per second in total (default: the centre's own)")] = None,
    duration: DurationOption = None,
    out: Annotated[
        Path | None, typer.Option(help="write JSON Lines to this file instead of Kafka; - for standard output", dir_okay=False)
    ] = None,
    queues: Annotated[int, typer.Option(min=1, max=300, help="number of queues")] = 6,
    agents: Annotated[int | None, typer.Option(min=1, max=50_000, help="agents on duty (default: what the queues need)")] = None,
    seed: SeedOption = 1,
    start: Annotated[str | None, typer.Option(help="event time of the start, RFC 3339 (default: now)")] = None,
    history: Annotated[str | None, typer.Option(help="first send this much history at once, e.g. 2h")] = None,
    mess: Annotated[bool, typer.Option("--mess", help="add duplicates, late and invalid events, a wrong clock, lost ends")] = False,
    config: ConfigOption = None,
) -> None:
    """Produce a simulated contact centre: to Kafka in real time, or to a file at once."""
    from streams.simulation import Plan, run_simulation

    length_ms = _duration_ms(duration, "--duration", least_ms=1)
    history_ms = _duration_ms(history, "--history") or 0
    plan = Plan(rate, length_ms, history_ms, queues, agents, seed, start, mess)
    run_simulation(_config(config), plan, out)


@app.command(epilog="Example: floorpulse produce events.jsonl --speed 60")
def produce(
    files: Annotated[list[Path], typer.Argument(help="canonical events, .jsonl or .jsonl.gz", metavar="FILE...")],
    speed: Annotated[str, typer.Option(help="60 = sixty times real time; max = as fast as possible")] = "max",
    keep_going: Annotated[bool, typer.Option("--keep-going", help="put bad lines into FILE.rejected and go on")] = False,
    from_line: Annotated[int, typer.Option(min=1, help="start at this line of the first file")] = 1,
    end: Annotated[bool, typer.Option("--end/--no-end", help="end each partition with an end-of-input marker")] = True,
    config: ConfigOption = None,
) -> None:
    """Send canonical events to Kafka; the summary says where to resume."""
    from streams.run import run_produce

    try:
        pace = None if speed == "max" else float(speed)
    except ValueError:
        raise UsageError(f"--speed {speed!r} is neither a number nor max") from None
    run_produce(_config(config), files, pace, keep_going=keep_going, from_line=from_line, end=end)


@app.command(epilog="Example: floorpulse report events.jsonl --interval 15m --zone Asia/Jerusalem --out table.csv")
def report(
    files: Annotated[list[Path] | None, typer.Argument(help="canonical events, .jsonl or .jsonl.gz", metavar="[FILE...]")] = None,
    interval: Annotated[str, typer.Option(help="15m, 30m or 60m")] = "15m",
    zone: Annotated[str | None, typer.Option(help="IANA time zone in place of all configured ones")] = None,
    by: Annotated[str, typer.Option(help="queue, queue,channel or group")] = "queue",
    out: Annotated[str, typer.Option(help="file to write; - for standard output", metavar="FILE")] = "-",
    form: Annotated[str, typer.Option("--format", help="csv, or parquet (needs floorpulse[parquet])")] = "csv",
    compare: Annotated[str | None, typer.Option(help="week: add the change against the same interval 7 days before")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, max=64, help="processes (default: one per core, 1 for small files)")] = None,
    live: Annotated[str | None, typer.Option(help="ask a running board instead, e.g. http://127.0.0.1:9464", metavar="URL")] = None,
    config: ConfigOption = None,
) -> None:
    """Compute the interval table from files without Kafka, or fetch it from a running board."""
    from streams.ask import Wanted, run_report

    run_report(_config(config), files or [], Wanted(interval, by, zone, compare, form, out, jobs), live=live)


@app.command(epilog="Example: floorpulse explain --kpi service_level --queue orders --window today")
def explain(
    kpi: Annotated[str, typer.Option(help="id of the indicator: floorpulse kpis lists them")],
    url: Annotated[str, typer.Option(help="a running board", metavar="URL")] = "http://127.0.0.1:9464",
    queue: Annotated[str | None, typer.Option(help="queue, for indicators by queue")] = None,
    channel: Annotated[str | None, typer.Option(help="channel of the queue (default: all)")] = None,
    group: Annotated[str | None, typer.Option(help="group, for indicators by group (default: all)")] = None,
    window: Annotated[str | None, typer.Option(help="5m, 15m, 30m, 60m, today, 7d (default: 30m)")] = None,
    stat: Annotated[str | None, typer.Option(help="mean, p50, p90, p95, max or share, where the indicator has them")] = None,
    variant: Annotated[str | None, typer.Option(help="direction, kind, currency, sender or status")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead")] = False,
    config: CheckedOption = None,
) -> None:
    """Explain a number of a running board: formula, parts by partition, window, settings."""
    _check(config)
    from streams.ask import run_explain

    asked = {"kpi": kpi, "queue": queue, "channel": channel, "group": group, "window": window, "stat": stat, "variant": variant}
    run_explain(url, asked, as_json=as_json)


@app.command(epilog="Example: floorpulse rules --out /etc/prometheus/floorpulse.yml")
def rules(
    out: Annotated[
        Path | None, typer.Option(help="file to write (default: standard output)", metavar="FILE", dir_okay=False)
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="only check whether FILE is up to date with the configuration")] = False,
    config: ConfigOption = None,
) -> None:
    """Print Prometheus rules made from the thresholds: recording rules, alerts of indicators and of the pipeline."""
    from streams.rulefile import run_rules

    if check and out is None:
        raise UsageError("--check needs --out FILE")
    typer.echo(run_rules(_config(config), out, check=check), nl=False)


@app.command("check-config", epilog="Example: floorpulse check-config --config floorpulse.yaml")
def check_config(
    keys: Annotated[bool, typer.Option("--keys", help="list all keys with their defaults instead")] = False,
    config: ConfigOption = None,
) -> None:
    """Validate the configuration and print the effective one, secrets masked."""
    from schemas.config_file import all_keys, effective, load

    if keys:
        for key in all_keys():
            typer.echo(f"{key.name:<48} {key.default:<16} {key.description}")
        return
    typer.echo(effective(load(config)), nl=False)


@app.command(epilog="Example: floorpulse kpis --json")
def kpis(
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False, config: CheckedOption = None
) -> None:
    """Print the catalogue of indicators: id, definition, unit, target."""
    _check(config)
    import json

    from schemas.kpis import CATALOGUE
    from schemas.metric_names import families_of

    rows = [
        {
            "id": kpi.id, "title": kpi.title, "definition": kpi.definition, "unit": kpi.unit, "better": kpi.better or "",
            "target": kpi.target, "formula": kpi.formula, "dimension": kpi.dimension, "metric": families_of(kpi)[0].name,
        }
        for kpi in CATALOGUE
    ]  # fmt: skip
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    from rich.console import Console
    from rich.table import Column, Table

    longest = max(len(row["id"]) for row in rows)
    table = Table(
        Column("id", no_wrap=True, min_width=longest), *(Column(n, overflow="fold") for n in ("definition", "unit", "target"))
    )
    for row in rows:
        table.add_row(row["id"], row["definition"], row["unit"], row["target"])
    console = Console()
    # Whoever searches the text finds a row in one line; a terminal that is narrower than the ids breaks lines by itself.
    console.width = max(console.width, 3 * longest) if console.is_terminal else 10_000
    console.print(table)


@app.command(epilog="Example: floorpulse schema readings")
def schema(
    name: Annotated[str, typer.Argument(help="events, readings, alerts or asyncapi", metavar="NAME")] = "asyncapi",
    config: CheckedOption = None,
) -> None:
    """Print the public contract: JSON Schemas of events, readings and alerts, or the AsyncAPI document of all topics."""
    _check(config)
    from streams.open_data import text

    typer.echo(text(name), nl=False)


letters = typer.Typer(
    name="dead-letters",
    help="Look at the records that were not counted, and send them again after a fix.",
    epilog="Example: floorpulse dead-letters list --reason status",
    rich_markup_mode=None,
)
app.add_typer(letters)

ReasonOption = Annotated[list[str] | None, typer.Option("--reason", help="only this reason; may be given several times")]
FromOption = Annotated[str | None, typer.Option("--from", help="set aside from this instant on, RFC 3339", metavar="INSTANT")]
ToOption = Annotated[str | None, typer.Option("--to", help="set aside before this instant, RFC 3339", metavar="INSTANT")]
LateOption = Annotated[bool, typer.Option("--late", help="look at the late records instead")]
YesOption = Annotated[bool, typer.Option("--yes", help="really do it; without it, only say what would be done")]


def _wanted(reasons: list[str] | None, since: str | None, until: str | None, *, again: bool = False) -> Wanted:
    from schemas.errors import InvalidEvent
    from schemas.instants import parse_instant
    from streams.deadletters import Wanted

    found: dict[str, int | None] = {}
    for option, text in (("--from", since), ("--to", until)):
        try:
            found[option] = None if text is None else parse_instant(text)
        except InvalidEvent as error:
            raise UsageError(f"{option} {text!r}: {error.detail.removeprefix('at ')}") from None
    since_ms, until_ms = found["--from"], found["--to"]
    if since_ms is not None and until_ms is not None and since_ms >= until_ms:
        raise UsageError(f"--from {since} is not before --to {until}: nothing was set aside between them")
    return Wanted(frozenset(reasons or ()), since_ms, until_ms, again)


@letters.command("list", epilog="Example: floorpulse dead-letters list --reason status --limit 5")
def list_letters(
    limit: Annotated[int, typer.Option(min=0, max=100_000, help="how many of the newest are shown")] = 20,
    reason: ReasonOption = None,
    since: FromOption = None,
    until: ToOption = None,
    late: LateOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead")] = False,
    config: ConfigOption = None,
) -> None:
    """Count dead letters by reason and topic, and show the newest. Details may quote personal data."""
    from streams.letterview import run_list_letters

    for line in run_list_letters(_config(config), _wanted(reason, since, until), limit, late=late, as_json=as_json):
        typer.echo(line)


@letters.command(epilog="Example: floorpulse dead-letters show 3@17")
def show(
    letter: Annotated[str, typer.Argument(help="as the list names it", metavar="PARTITION@OFFSET")],
    late: LateOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="write the value's bytes as they are, and nothing else")] = False,
    config: ConfigOption = None,
) -> None:
    """Show one dead letter: headers, key, value; control characters are escaped."""
    from streams.letterview import run_show_letter

    if raw and as_json:
        raise UsageError("--raw and --json exclude each other")
    run_show_letter(_config(config), letter, late=late, form="raw" if raw else "json" if as_json else "text")


@letters.command("replay", epilog="Example: floorpulse dead-letters replay --reason status --yes")
def replay_letters(
    reason: ReasonOption = None,
    since: FromOption = None,
    until: ToOption = None,
    yes: YesOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be sent (the default)")] = False,
    again: Annotated[bool, typer.Option("--again", help="also those that were rejected again after a replay")] = False,
    config: ConfigOption = None,
) -> None:
    """Send dead letters again: the original bytes under the original key to the original topic. May be repeated."""
    from streams.letterview import run_replay_letters

    if yes and dry_run:
        raise UsageError("--yes and --dry-run exclude each other")
    for line in run_replay_letters(_config(config), _wanted(reason, since, until, again=again), really=yes):
        typer.echo(line)


@app.command(epilog="Example: floorpulse purge --customer 4711")
def purge(
    customer: Annotated[str, typer.Option(help="the customer's id as events name it")],
    yes: YesOption = False,
    inputs: Annotated[bool, typer.Option("--inputs/--no-inputs", help="search the input topics, too: all that they hold")] = True,
    config: ConfigOption = None,
) -> None:
    """Say where a customer's id still is and until when; with --yes, delete what nobody counts any more."""
    from streams.purge import run_purge

    for line in run_purge(_config(config), customer, really=yes, inputs=inputs):
        typer.echo(line)


@app.command(epilog="Example: floorpulse rebuild --from floorpulse. --prefix floorpulse2.")
def rebuild(
    source: Annotated[str, typer.Option("--from", help="topic prefix whose inputs are copied", metavar="PREFIX")],
    prefix: Annotated[str | None, typer.Option(help="topic prefix to copy to (default: kafka.topic_prefix)")] = None,
    config: ConfigOption = None,
) -> None:
    """Copy the inputs to a new prefix, from which new workers recompute everything. Run it again to go on where it stopped."""
    from streams.rebuild import run_rebuild

    settings = _config(config, kafka={"topic_prefix": prefix})
    _changed(settings, kafka={"topic_prefix": source})  # refused before Kafka is asked
    for line in run_rebuild(settings, source):
        typer.echo(line)


def _config_last(arguments: list[str]) -> list[str]:
    """Let `--config FILE` stand before the command, too: each command takes it as its own."""
    taken = 2 if arguments[:1] == ["--config"] else 1 if arguments and arguments[0].startswith("--config=") else 0
    rest = arguments[taken:]
    return [*rest, *arguments[:taken]] if rest and not rest[0].startswith("-") else rest or arguments


def main() -> None:
    """Run the command line and exit."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    _settle_outputs()
    arguments = _config_last(arguments) or ["--help"]
    for library in ("aiokafka", "kafka", "faust", "mode"):
        logging.getLogger(library).addHandler(logging.NullHandler())
    command = next((a for a in arguments if not a.startswith("-")), "")
    program = f"floorpulse {command}".strip()
    try:
        status = app(arguments, prog_name="floorpulse", standalone_mode=False)
    except typer.Exit as stop:
        status = stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except ConfigError as error:
        status = _say("floorpulse", str(error), error.exit_status, debug)
    except FloorpulseError as error:
        status = _say(program, str(error), error.exit_status, debug)
    except _USAGE_ERROR as error:
        commands = {c.name or (c.callback.__name__ if c.callback else "") for c in app.registered_commands}
        known = command in commands | {group.typer_instance.info.name for group in app.registered_groups if group.typer_instance}
        status = _say(program, f"{error.format_message()} See: {program if known else 'floorpulse'} --help", 2, debug)
    except BrokenPipeError:
        sys.stderr.close()
        status = 0
    except SystemExit as stop:
        if not isinstance(stop.__context__, BrokenPipeError):
            raise
        status = 0  # typer's 1 is for failures, and whoever reads has seen enough
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        remedy = _REMEDIES.get(error.errno or 0, "")
        status = _say(program, f"{place}{error.strerror or error}{remedy}", 1, debug)
    except Exception as error:  # noqa: BLE001  # the outermost boundary: one line, and what it was working on stays untold
        from streams.logs import fault

        status = _say(program, fault(error), 1, debug)
    sys.exit(status if isinstance(status, int) else 0)


def _settle_outputs() -> None:
    """Write UTF-8 whatever the locale says, as events and tables are, and nowhere where an output was closed."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  as long as the process
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors=sys.stdout.errors)


def _say(program: str, message: str, status: int, debug: bool) -> int:
    """Say what went wrong in one line, or all of it where that was asked for; to be called while the error is handled."""
    if debug:
        traceback.print_exc()
    else:
        typer.echo(f"{program}: {printable(message)}", err=True)
    return status


if __name__ == "__main__":
    main()
