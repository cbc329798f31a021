"""`python -m tests.chaos --events 1000000 --kills 200 --rebalances 100 --zombies 50 --seed N`; prints a JSON result."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from dataclasses import fields
from typing import Final

from tests.chaos.run import Plan, chaos
from tests.chaos.worker import GUARDS

_LINES_S: Final = 10.0


class Progress:
    """One line that is written over on a terminal, a line every few seconds elsewhere."""

    def __init__(self) -> None:
        self._started = self._shown_s = time.monotonic()

    def __call__(self, text: str) -> None:
        """Show where we are."""
        now = time.monotonic()
        line = f"{now - self._started:7.1f} s  {text}"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{line[:160]}")
        elif now >= self._shown_s + _LINES_S or "\n" in text:
            self._shown_s = now
            sys.stderr.write(line + "\n")
        sys.stderr.flush()


def main() -> int:
    """Run it; the exit status is 1 if anything differs, or, without a guard, if nothing does."""
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    for each in fields(Plan):
        if each.name not in ("seed", "guard"):
            parser.add_argument(f"--{each.name.replace('_', '-').removesuffix('-s')}", dest=each.name,
                                type=type(each.default), default=each.default)  # fmt: skip
    parser.add_argument("--without", dest="guard", choices=GUARDS, help="negative control: take out one guard")
    plan = Plan(**vars(parser.parse_args()))
    sys.stderr.write(f"seed {plan.seed}\n")
    result = asyncio.run(chaos(plan, Progress()))
    sys.stdout.write(json.dumps(result.as_dict(), indent=1) + "\n")
    return int(result.faults == (plan.guard is None))


if __name__ == "__main__":
    sys.exit(main())
