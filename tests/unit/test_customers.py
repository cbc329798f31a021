"""Customers: what is kept of their contacts, and for how long. What they count: test_core_examples, tests/property."""

from __future__ import annotations

from schemas.config import Config
from streams.core.booking import Books
from streams.core.customers import Customers
from streams.core.relay import RelayFact

MINUTE, DAY = 60_000, 86_400_000
RULES = Config().rules()


def contact(start: int, end: int | None) -> RelayFact:
    """One session's fact: begun, and ended or not."""
    return RelayFact(
        1,
        0,
        1 if end is None else 2,
        None,
        "customer",
        "c",
        f"s-{start}",
        contacts=((start, "q", "voice", end, "q", "voice"),),
    )


def kept(customers: Customers, mark: int) -> tuple[int, int, int]:
    """Customers, instants at which to look, and times that are up, when all have come to an instant."""
    customers.book(Books(RULES), mark)
    customers.forget()
    return len(customers), len(customers._over), len(customers._due)


def test_a_contact_that_is_over_leaves_nothing_behind() -> None:
    """A contact is told first while it is open; the 400 days for which an open one may be kept must not outlive its end."""
    customers = Customers(RULES)
    for start in range(0, 600 * MINUTE, MINUTE):
        customers.hear(contact(start, None))
        customers.hear(contact(start, start + 5 * MINUTE))
    assert kept(customers, DAY // 2)[0] == 1
    assert kept(customers, 5 * DAY) == (0, 0, 0)


def test_an_open_contact_is_kept_for_the_time_of_silence_and_looked_at_ever_more_seldom() -> None:
    """Its customer's next contact follows it whenever that comes."""
    customers = Customers(RULES)
    customers.hear(contact(0, None))
    looks = 0
    for day in range(1, 400):
        before = customers._over[0]
        assert kept(customers, day * DAY) == (1, 1, 0)
        looks += customers._over[0] != before
    assert 5 <= looks <= 10
    assert kept(customers, 401 * DAY) == (0, 0, 0)
