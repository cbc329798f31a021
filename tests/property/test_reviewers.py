"""Reviewer-days against a recount of all reviews, whatever comes when; and no more is booked, the more reviews there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.rules import DAY_MS, HOUR_MS, Rules
from streams.core.booking import Books
from streams.core.cells import Fact
from streams.core.relay import FORMAT, RelayFact, Review
from streams.core.reviewers import Reviewers

T0 = 1_795_269_600_000
ZONES = {"q": "Asia/Shanghai", "r": "America/New_York"}
RULES = Rules(zone="Europe/Berlin", queues={queue: {"zone": zone} for queue, zone in ZONES.items()})
Place = tuple[str, str, str]

reviews = st.tuples(st.integers(0, 70).map(lambda hours: T0 + hours * HOUR_MS), st.sampled_from(["q", "r"]), st.just("voice"))
told = st.tuples(st.sampled_from(["anna", "bot"]), st.integers(0, 5).map("s{}".format), st.lists(reviews, max_size=4))


class Booked(Books):
    """Books that note what is added and taken away."""

    def __init__(self) -> None:
        super().__init__(RULES)
        self.facts: Counter[Fact] = Counter()
        self.given = 0

    def difference(self, old: Sequence[Fact], new: Sequence[Fact]) -> None:
        """Note it."""
        self.given += len(old) + len(new)
        self.facts.update(new)
        self.facts.subtract(old)


def days(known: dict[tuple[str, str], list[Review]]) -> Counter[tuple[Place, int]]:
    """Count the reviewer-days by place and first instant, from all reviews at once."""
    firsts: dict[tuple[str, Place, str], int] = {}
    for (reviewer, _), told in known.items():
        for at, queue, channel in told:
            for place, zone in ((("queue", queue, channel), ZONES[queue]), (("floor", "all", ""), RULES.zone)):
                day = (reviewer, place, f"{datetime.fromtimestamp(at / 1000, ZoneInfo(zone)):%F}")
                firsts[day] = min(at, firsts.get(day, at))
    return Counter((place, at) for (_, place, _), at in firsts.items())


@settings(max_examples=200)
@given(st.lists(st.lists(told, min_size=1, max_size=5), max_size=12), st.booleans())
def test_every_order_of_news_gives_the_recount(flushes: list[list[tuple[str, str, list[Review]]]], restored: bool) -> None:
    """A session's reviews come, change and go, several sessions and days to a flush; also where a successor goes on."""
    reviewers, books, version = Reviewers(RULES), Booked(), 0
    known: dict[tuple[str, str], list[Review]] = {}
    for flush in flushes:
        for reviewer, session, now in flush:
            version += 1
            reviewers.hear(RelayFact(FORMAT, 0, version, None, "v", reviewer, session, reviews=tuple(now)))
            known[reviewer, session] = now
        reviewers.book(books)
        assert +books.facts == Counter({(place, at, "reviewer_days", 1): n for (place, at), n in days(known).items()})
        if restored:
            successor = Reviewers(RULES)
            for reviewer, session in reviewers.known():
                successor.thaw(reviewer, session, reviewers.freeze(reviewer, session) or [])
            reviewers = successor


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 5 * HOUR_MS), st.integers(0, 2 * HOUR_MS - 1), st.sampled_from("qr"), st.booleans()),
                min_size=1, max_size=60), st.booleans())  # fmt: skip
def test_of_what_is_closed_the_first_of_each_day_is_enough(steps: list[tuple[int, int, str, bool]], restored: bool) -> None:
    """A review comes up to two hours late, or is taken back within two; of what is older hardly anything is kept."""
    rules = replace(RULES, agent_horizon_ms=2 * HOUR_MS, session_age_ms=HOUR_MS)
    reviewers, books, now = Reviewers(rules), Booked(), T0
    known: dict[tuple[str, str], list[Review]] = {}
    for number, (after, late, queue, taken_back) in enumerate(steps):
        now += after
        newest = f"s{number - 1}"
        if taken_back and any(at >= now - 2 * HOUR_MS for at, *_ in known.get(("bot", newest), [])):
            session, reviews = newest, []
        else:
            session, reviews = f"s{number}", [(now - late, queue, "voice")]
        known["bot", session] = reviews
        reviewers.hear(RelayFact(FORMAT, 0, number, None, "v", "bot", session, reviews=tuple(reviews)))
        reviewers.book(books)
        reviewers.forget(now - 2 * HOUR_MS)
        if restored:
            successor = Reviewers(rules)
            for reviewer, each in reviewers.known():
                successor.thaw(reviewer, each, reviewers.freeze(reviewer, each) or [])
            successor.closed, reviewers = reviewers.closed, successor
    assert +books.facts == Counter({(place, at, "reviewer_days", 1): n for (place, at), n in days(known).items()})
    recent = sum(at >= now - 3 * HOUR_MS for told in known.values() for at, *_ in told)
    assert len(reviewers.known()) <= recent + 3 * 5  # three places, days that overlap three and a bit


def test_what_is_over_leaves_no_day_behind() -> None:
    """Reviews of three days are forgotten with their days; a new one is the first of its day again."""
    reviewers, books = Reviewers(RULES), Booked()
    for number in range(3):
        fact = RelayFact(FORMAT, 0, 1, None, "v", "bot", f"s{number}", reviews=((T0 + number * DAY_MS, "q", "voice"),))
        assert reviewers.hear(fact)
    reviewers.book(books)
    assert sorted(reviewers.forget(T0 + 4 * DAY_MS + 1)) == [("bot", "s0"), ("bot", "s1")]
    assert [*reviewers._of["bot"].sessions] == ["s2"]
    assert len(reviewers._of["bot"].days) == 2
    reviewers.forget(T0 + 9 * DAY_MS)
    assert reviewers._of == {}


def test_a_review_concerns_two_days_however_many_there_are() -> None:
    """A program that reviews every session: the 2,000th review of a day books as much as the second."""
    reviewers, given = Reviewers(RULES), []
    for number in range(2000):
        books = Booked()
        fact = RelayFact(FORMAT, 0, 1, None, "v", "bot", f"s{number}", reviews=((T0 + number, "q", "voice"),))
        assert reviewers.hear(fact)
        reviewers.book(books)
        given.append(books.given)
    assert given == [2, *[4] * 1999]
