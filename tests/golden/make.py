"""Add a golden folder written by today's program: `python -m tests.golden.make NAME`; an existing one is never touched."""

from __future__ import annotations

import json
import sys
from base64 import b64encode

from schemas.partitioner import PARTITIONERS
from schemas.readings import VERSION as READINGS
from streams.core.driver import record_of
from streams.core.relay import FORMAT
from streams.journal.record import VERSION as JOURNAL
from tests.centres import centre, to_jsonl_bytes
from tests.golden import files
from tests.golden.files import Input


def load() -> list[Input]:
    """Return events of a seeded centre with everything in it, dead letters among them; the last quarter is the second part."""
    events = centre(20_261, sessions=30, agents=5, span_ms=1_800_000)
    found = []
    for number, event in enumerate(events):
        topic, key, value = record_of(event, to_jsonl_bytes(event))
        partition = PARTITIONERS["murmur2"](key, files.PARTITIONS) if key else 0
        found.append(Input(1 if number < len(events) * 3 // 4 else 2, partition, topic, key, value))
        if number % 50 == 10:
            found.append(found[-1]._replace(value=b"{nope"))
    return found


def main() -> int:
    """Write it."""
    if len(sys.argv) != 2 or not sys.argv[1].replace("-", "").replace(".", "").isalnum():
        sys.stderr.write(f"{__doc__}\n")
        return 2
    folder = files.FOLDER / sys.argv[1]
    if folder.exists():
        sys.stderr.write(f"{folder} is there already; golden files are added, never changed. Choose another name\n")
        return 1
    fed = load()
    broker = files.written(each for each in fed if each.part == 1)
    folded = {p: files.fold(p, log) for p, log in broker.journal.items()}
    for (topic, number), log in broker.logs.items():  # relayed, and not read by its owner yet
        if topic == "relay":
            fed += [Input(2, number, topic, r.key or b"", r.value or b"") for r in log[folded[number].offsets["relay"] :]]
    readings = files.go_on(folded, (each for each in fed if each.part == 2))
    folder.mkdir()
    files.write(folder, "events", ([*each[:3], b64encode(each.key).decode(), b64encode(each.value).decode()] for each in fed))
    files.write(folder, "journal", files.rows_of_journal(broker))
    files.write(folder, "state", (files.state_of(folded[p]) for p in range(files.PARTITIONS)))
    files.write(folder, "published", files.rows_of_published(broker))
    files.write(folder, "readings", files.rows_of_readings(readings))
    told = {"journal": JOURNAL, "readings": READINGS, "relay": FORMAT, "partitions": files.PARTITIONS}
    (folder / "meta.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{folder}: {len(fed)} events, {sum(map(len, broker.journal.values()))} journal records\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
