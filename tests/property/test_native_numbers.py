"""The compiled core reads numbers as decimals, the models read them as floats: both keep and refuse the same.

Odd numbers in the place of every field are in `test_native`; here are scores against scales, and amounts.
"""

from __future__ import annotations

import random
from typing import Final

import pytest

from schemas.events import INPUT_TOPICS
from tests.property.test_freeze_thaw import PATIENT
from tests.property.test_native import NUMBERS, Both, entries_of, needs_it

FORMS: Final = {
    "sessions": '{"type":"session.rated","id":"i","at":1795251600000,"session_id":"%s","score":%s,"scale":%s}',
    "business": '{"type":"cost.booked","id":"%s","at":1795251600000,"amount":%s,"currency":"%s"}',
}


def currency(n: int) -> str:
    """Return the code of a currency of its own, so that amounts are not added up."""
    return "".join(chr(65 + n // step % 26) for step in (676, 26, 1))


def both_read_alike(ratings: list[tuple[str, str]], amounts: list[str]) -> None:
    """Let both cores take ratings, a session each, and amounts, a currency each: they refuse and keep the same."""
    both = Both(0, 1, PATIENT)
    keys = [b"s%d" % n for n in range(len(ratings))]
    rated = [(FORMS["sessions"] % (key.decode(), *pair)).encode() for key, pair in zip(keys, ratings, strict=True)]
    costs = [(FORMS["business"] % (f"c{n}", amount, currency(n))).encode() for n, amount in enumerate(amounts)]
    refused = len(both.apply("sessions", keys, rated, 0)), len(both.apply("business", [b""] * len(costs), costs, 0))
    assert refused[0] < len(rated) * 4 // 5
    assert refused[1] < len(costs) * 4 // 5
    both.flush(1, 0, INPUT_TOPICS)
    entries = entries_of(both.compiled)
    assert entries == entries_of(both.plain)
    assert sum(key.startswith("s") for key in entries) == len(rated) - refused[0]


@needs_it
def test_both_cores_read_every_pair_of_odd_numbers_alike() -> None:
    """Score against scale: bounds, grades and halves, however they are written."""
    shown = [number for number in NUMBERS if len(number) < 30]
    both_read_alike([(score, scale) for scale in ("5", "1", "1000000000", "400000.0", "0.003") for score in shown], list(NUMBERS))
    both_read_alike([("1", scale) for scale in shown] + [("0.0000005", scale) for scale in shown], list(NUMBERS))


def a_decimal(rng: random.Random) -> str:
    """Return a number that is not negative: of 1 to 17 digits, the point anywhere; now and then a half of a millionth."""
    digits = "".join(rng.choices("0123456789", k=rng.choice([1, 2, 3, 7, 8, 14, 15, 16, 17])))
    point = rng.randint(0, min(9, len(digits)))
    before, after = digits[:point], digits[point:]
    number = (before.lstrip("0") or "0") + ("." + after if after else "")
    return rng.choice([number, number, number, f"{rng.randrange(100)}.{rng.randrange(10**6):06}5", f"{rng.randrange(1, 11)}"])


@needs_it
@pytest.mark.parametrize("seed", range(3))
def test_both_cores_read_random_numbers_alike(seed: int) -> None:
    """Scores, scales and amounts by the thousand; most scores fit their scales."""
    rng = random.Random(seed)
    ratings = []
    for _ in range(1500):
        score, scale = a_decimal(rng), a_decimal(rng)
        fits = float(score) <= float(scale) or rng.random() < 0.2
        ratings.append((score, scale) if fits else (scale, score))
    both_read_alike(ratings, [rng.choice(["", "-"]) + a_decimal(rng) for _ in range(1500)])
