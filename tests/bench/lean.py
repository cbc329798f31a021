"""A worker with the catalogue off, as far as that goes: what agents, customers and reviewers must know is not relayed.

What is left is what queues and their sessions tell: the peers' job, with the other sums of a session and a queue, which come along.
No setting does this: indicators of agents and customers would stand at 0 instead of at what they are.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from typing import Any

from schemas.config_file import load
from streams import run
from streams.native import core_named


def main() -> None:
    """Run one worker with the configuration of a file."""
    config = load(sys.argv[1])
    core, rules = core_named(config.worker.core), config.rules()

    def thaw(partition: int, partitions: int, entries: Mapping[str, Any], unpublished: Collection[str]) -> Any:
        floor = core.thaw(partition, partitions, rules, entries, unpublished)
        floor.tell(())
        return floor

    vars(run)["thaw_of"] = lambda _: thaw
    run.run_worker(config)


if __name__ == "__main__":
    main()
