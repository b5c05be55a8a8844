"""Hit rates by hand, and against the definition written a second time in plain Python."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.interests.metrics import DatedMapping, Estimate, HitRates, hit_rates, ratio
from driftline.interests.pairs import Ints, pairs

START = datetime(2024, 3, 1, tzinfo=UTC)
END = START + timedelta(days=3)
NOTHING = Estimate(None, None, None, 0)
Step = tuple[str, int, float]
"""User, cluster, days after START."""


def table(steps: list[Step]) -> pa.Table:
    return pa.table(
        {
            "user": pa.array([user for user, _, _ in steps], pa.string()),
            "cluster": pa.array([cluster for _, cluster, _ in steps], pa.int32()),
            "ts": pa.array([(START + timedelta(days=day)).replace(tzinfo=None) for _, _, day in steps], pa.timestamp("us")),
        }
    )


def answering(answers: dict[tuple[int, int], int], n_clusters: int) -> Ints:
    """Every other pair gets its lowest novel id."""
    rows = zip(*(column.tolist() for column in pairs(n_clusters)), strict=True)
    return np.array([answers.get(pair, next(c for c in range(n_clusters) if c not in pair)) for pair in rows])


HAND = [
    *(("ann", cluster, day) for cluster, day in [(0, 0.1), (1, 0.2), (2, 1.3), (3, 1.4)]),
    *(("bob", cluster, day) for cluster, day in [(0, 1.1), (1, 1.2), (0, 1.5), (2, 2.5)]),
    *(("cid", cluster, day) for cluster, day in [(2, 0.5), (3, 0.6)]),
]
"""Five clusters. What follows each pair, and on which day the pair is complete:

    ann  (0, 1) day 0: 2, 3     (1, 2) day 1: 3     (2, 3) last
    bob  (0, 1) day 1: 0, 2     (1, 0) day 1: 2     (0, 2) last
    cid  (2, 3) last

`steady` answers 2 to (0, 1), 4 to (1, 2) and 3 to (1, 0): right for both (0, 1), wrong for the others: ann 1 of 2, bob 1 of 2.
`renewed` is `steady`, but from day 1 on it answers 3 to (1, 2), to (0, 1) and to (1, 0): right for ann twice, never for bob.
"""


def test_by_hand() -> None:
    old = answering({(0, 1): 2, (1, 2): 4, (1, 0): 3}, 5)
    new = answering({(0, 1): 3, (1, 2): 3, (1, 0): 3}, 5)
    arms = {
        "steady": [DatedMapping(START, old)],
        "renewed": [DatedMapping(START, old), DatedMapping(START + timedelta(days=1), new)],
    }
    # ann showed 4 before, dan is nobody's business.
    history = table([("ann", 4, -3), ("ann", 4, -2), ("dan", 2, -1)])

    found = hit_rates(table(HAND), history, 5, START, END, arms, [("renewed", "steady")])

    assert found.days == (date(2024, 3, 1), date(2024, 3, 2), date(2024, 3, 3))
    assert (found.users, found.occurrences, found.last_pairs, found.missing) == (2, 4, 3, ())
    # Distinct clusters of the rest but c1 and c2: 2, 1, 1 (bob's 0 is a c1) and 1, of the 3 that are novel to the pair.
    assert found.chance == pytest.approx((2 + 1 + 1 + 1) / 4 / 3)
    assert found.daily_chance[:2] == pytest.approx((2 / 3, 1 / 3))
    assert found.daily_chance[2] is None
    steady, renewed = found.arms
    # Each user has 1 of 2, whoever is drawn: the interval has no width.
    assert steady.rate == Estimate(0.5, 0.5, 0.5, 2)
    assert steady.daily == (Estimate(1.0, None, None, 1), ratio([0, 1], [1, 2]), NOTHING)
    assert [day.value for day in steady.daily] == [1.0, pytest.approx(1 / 3), None]
    # Of steady's answers to ann 2 is novel and 4 is not; to bob 2 and 3 are.
    assert steady.novel.value == 0.75
    # ann 2 of 2, bob 0 of 2.
    assert renewed.rate == Estimate(0.5, 0.0, 1.0, 2)
    assert [day.value for day in renewed.daily] == [1.0, pytest.approx(1 / 3), None]
    assert renewed.novel.value == 1.0
    # Every hit of either is of a cluster that was new to the user.
    assert steady.uptake is not None
    assert renewed.uptake is not None
    assert (steady.uptake.value, renewed.uptake.value) == (0.5, 0.5)
    (difference,) = found.differences
    # Paired: ann +1 of 2, bob −1 of 2.
    assert (difference.a, difference.b, difference.estimate) == ("renewed", "steady", Estimate(0.0, -0.5, 0.5, 2))


def test_a_cluster_that_the_user_showed_earlier_in_the_period_can_be_hit_but_is_not_novel() -> None:
    """(1, 2) → 0: the user showed 0 first, and shows it again."""
    steps = table([("ann", 0, 0), ("ann", 1, 0), ("ann", 2, 0), ("ann", 0, 1)])
    (arm,) = hit_rates(steps, None, 3, START, END, {"only": [DatedMapping(START, answering({}, 3))]}, []).arms

    assert arm.rate.value == 1.0  # (0, 1) → 2 and (1, 2) → 0
    assert arm.novel.value == 0.5


def test_a_version_serves_from_its_very_moment_on_in_any_zone() -> None:
    """c2 of the only pair that counts is at day 0.5, noon: 13:00 in Berlin."""
    steps = table([("ann", 0, 0), ("ann", 1, 0.5), ("ann", 2, 1), ("bob", 0, 0), ("bob", 1, 0.5), ("bob", 2, 1)])
    noon = datetime(2024, 3, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    wrong, right = answering({(0, 1): 3}, 4), answering({(0, 1): 2}, 4)

    def rate(since: datetime) -> float | None:
        arm = [DatedMapping(since, right), DatedMapping(START.replace(tzinfo=None), wrong)]
        return hit_rates(steps, None, 4, START, END, {"only": arm}, []).arms[0].rate.value

    assert rate(noon) == 1.0
    assert rate(noon + timedelta(microseconds=1)) == 0.0


class TestTooLittle:
    def measured(self, steps: list[Step]) -> HitRates:
        arms = {name: [DatedMapping(START, answering({}, 4))] for name in ("a", "b")}
        return hit_rates(table(steps), None, 4, START, END, arms, [("a", "b")])

    @pytest.mark.parametrize("steps", [[], [("ann", 0, 0.0), ("ann", 1, 0.0), ("bob", 0, 0.0)]])
    def test_no_occurrence(self, steps: list[Step]) -> None:
        found = self.measured(steps)

        assert (found.users, found.occurrences, found.last_pairs, found.chance) == (0, 0, len(steps) // 2, None)
        assert all((arm.rate, arm.daily, arm.novel) == (NOTHING, (NOTHING,) * 3, NOTHING) for arm in found.arms)
        assert found.differences[0].estimate == NOTHING
        assert found.missing == (
            "not enough data: n = 0 pairs with a rest in the held-out period [2024-03-01 00:00, 2024-03-04 00:00); "
            "a user needs three steps there",
        )

    def test_one_user(self) -> None:
        found = self.measured([("ann", 0, 0), ("ann", 1, 0), ("ann", 2, 0)])

        assert found.arms[0].rate == Estimate(1.0, None, None, 1)
        assert found.differences[0].estimate == Estimate(0.0, None, None, 1)
        (missing,) = found.missing
        assert missing.startswith("not enough data: n = 1 user")


class TestBadInput:
    ANN = (("ann", 0, 0.0), ("ann", 1, 0.5), ("ann", 2, 1.0))

    def measure(
        self,
        steps: list[Step] | None = None,
        history: list[Step] | None = None,
        end: datetime = END,
        versions: list[DatedMapping] | None = None,
        differences: list[tuple[str, str]] | None = None,
    ) -> None:
        arms = {"only": [DatedMapping(START, answering({}, 4))] if versions is None else versions}
        before = None if history is None else table(history)
        hit_rates(table(steps or list(self.ANN)), before, 4, START, end, arms, differences or [])

    def test_steps(self) -> None:
        ann = list(self.ANN)
        with pytest.raises(ValueError, match="not ordered by user and time"):
            self.measure(ann[::-1])
        with pytest.raises(ValueError, match="not ordered by user and time"):
            self.measure([*ann, ("bob", 0, 1), ("ann", 3, 2)])
        with pytest.raises(ValueError, match="neighbouring steps of a user are of the same cluster"):
            self.measure([*ann, ("ann", 2, 2)])
        with pytest.raises(ValueError, match="clusters 0 to 7, which are not ids of 4 clusters"):
            self.measure([*ann, ("ann", 7, 2)])
        with pytest.raises(ValueError, match=r"outside the held-out period \[2024-03-01 00:00, 2024-03-04 00:00\)"):
            self.measure([*ann, ("ann", 3, 3)])
        with pytest.raises(ValueError, match="history reaches into the held-out period"):
            self.measure(history=[("ann", 3, 0)])

    def test_period(self) -> None:
        with pytest.raises(ValueError, match="is empty: its end must come after its start"):
            self.measure(end=START)
        with pytest.raises(ValueError, match="2 clusters leave no novel one"):
            hit_rates(table([]), None, 2, START, END, {}, [])

    def test_arms(self) -> None:
        with pytest.raises(ValueError, match="'only' has no version yet at 2024-03-01T12:00"):
            self.measure(versions=[DatedMapping(START + timedelta(days=1), answering({}, 4))])
        with pytest.raises(ValueError, match="'only' has no version yet"):
            self.measure(versions=[])
        with pytest.raises(ValueError, match="'only' since 2024-03-01: not every pair is answered with one of 4 clusters"):
            self.measure(versions=[DatedMapping(START, np.full(12, -1))])
        with pytest.raises(ValueError, match="cannot compare 'none': there is no such arm among 'only'"):
            self.measure(differences=[("only", "none")])


# --- the definition a second time --------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """Hits, novel predictions and occurrences, in order of users."""

    user: str
    day: date
    hit: dict[str, bool]
    novel: dict[str, bool]
    next: dict[str, bool]
    triple: bool
    pair: int
    chance: float
    fresh: float


def naive(
    steps: list[Step], history: list[Step], n_clusters: int, arms: dict[str, list[DatedMapping]]
) -> tuple[list[Tally], int]:
    number = {pair: i for i, pair in enumerate(zip(*(c.tolist() for c in pairs(n_clusters)), strict=True))}
    tallies, last_pairs = [], 0
    for user in dict.fromkeys(user for user, _, _ in steps):
        own = [(cluster, START + timedelta(days=day)) for who, cluster, day in steps if who == user]
        before = {cluster for who, cluster, _ in history if who == user}
        for i in range(len(own) - 1):
            (c1, _), (c2, at) = own[i], own[i + 1]
            rest = {cluster for cluster, _ in own[i + 2 :]}
            if not rest:
                last_pairs += 1
                continue
            answer = {
                name: int(max((v for v in versions if v.since <= at), key=lambda v: v.since).answers[number[c1, c2]])
                for name, versions in arms.items()
            }
            shown = before | {cluster for cluster, _ in own[: i + 2]}
            hit = {name: cluster in rest for name, cluster in answer.items()}
            novel = {name: cluster not in shown for name, cluster in answer.items()}
            following = own[i + 2][0]
            right = {name: cluster == following for name, cluster in answer.items()}
            chance, fresh = (len(rest - known) / (n_clusters - 2) for known in ({c1, c2}, shown))
            tallies.append(Tally(user, at.date(), hit, novel, right, following != c1, number[c1, c2], chance, fresh))
    return tallies, last_pairs


def over_users(tallies: list[Tally], values: list[int]) -> Estimate:
    users = list(dict.fromkeys(tally.user for tally in tallies))
    sums = [sum(v for t, v in zip(tallies, values, strict=True) if t.user == user) for user in users]
    return ratio(sums, [sum(t.user == user for t in tallies) for user in users])


@st.composite
def logs(draw: st.DrawFn) -> tuple[int, list[Step], list[Step], dict[str, list[DatedMapping]]]:
    n_clusters = draw(st.integers(3, 6))
    clusters = st.integers(0, n_clusters - 1)
    steps: list[Step] = []
    for user in draw(st.permutations(["ann", "bob", "cid", "dan"])):
        ids = draw(st.lists(clusters, max_size=9))
        ids = [cluster for i, cluster in enumerate(ids) if i == 0 or cluster != ids[i - 1]]
        days = sorted(draw(st.lists(st.integers(0, 11), min_size=len(ids), max_size=len(ids))))
        steps += [(user, cluster, day / 4) for cluster, day in zip(ids, days, strict=True)]
    history = draw(st.lists(st.tuples(st.sampled_from(["ann", "bob", "eve"]), clusters, st.floats(-9, -1)), max_size=6))
    arms = {}
    for name in ("a", "b"):
        since = [
            START,
            *draw(st.lists(st.integers(1, 11).map(lambda q: START + timedelta(hours=6 * q)), max_size=2, unique=True)),
        ]
        choices = [[c for c in range(n_clusters) if c not in pair] for pair in zip(*pairs(n_clusters), strict=True)]
        seed = draw(st.integers(0, 99))
        rng = np.random.default_rng(seed)
        arms[name] = [DatedMapping(time, np.array([rng.choice(novel) for novel in choices])) for time in since]
    return n_clusters, steps, history, arms


@settings(deadline=None, max_examples=60)
@given(logs())
def test_agrees_with_the_definition_in_python(drawn: tuple[int, list[Step], list[Step], dict[str, list[DatedMapping]]]) -> None:
    n_clusters, steps, history, arms = drawn
    found = hit_rates(table(steps), table(history), n_clusters, START, END, arms, [("a", "b")])
    tallies, last_pairs = naive(steps, history, n_clusters, arms)

    assert (found.occurrences, found.last_pairs) == (len(tallies), last_pairs)
    assert found.users == len({tally.user for tally in tallies})
    assert found.chance == (pytest.approx(np.mean([t.chance for t in tallies])) if tallies else None)
    assert found.uptake_chance == (pytest.approx(np.mean([t.fresh for t in tallies])) if tallies else None)
    for arm in found.arms:
        assert arm.rate == over_users(tallies, [t.hit[arm.name] for t in tallies])
        assert arm.novel == over_users(tallies, [t.novel[arm.name] for t in tallies])
        assert arm.uptake == over_users(tallies, [t.novel[arm.name] and t.hit[arm.name] for t in tallies])
        for day, estimate in zip(found.days, arm.daily, strict=True):
            then = [t for t in tallies if t.day == day]
            assert estimate == over_users(then, [t.hit[arm.name] for t in then])
    triples = [t for t in tallies if t.triple]
    assert found.triples == len(triples)
    for arm in found.arms:
        assert arm.recall == over_users(triples, [t.next[arm.name] for t in triples])
    assert found.differences[0].estimate == over_users(tallies, [t.hit["a"] - t.hit["b"] for t in tallies])
    (recalls,), (uptakes,) = found.recall_differences, found.uptake_differences
    assert recalls.estimate == over_users(triples, [t.next["a"] - t.next["b"] for t in triples])
    taken = [(t.hit["a"] and t.novel["a"]) - (t.hit["b"] and t.novel["b"]) for t in tallies]
    assert uptakes.estimate == over_users(tallies, taken)


@settings(deadline=None, max_examples=30)
@given(logs(), st.randoms(use_true_random=False))
def test_levels_of_support_are_the_definition_on_their_pairs(
    drawn: tuple[int, list[Step], list[Step], dict[str, list[DatedMapping]]], random: Random
) -> None:
    n_clusters, steps, history, arms = drawn
    support = np.array([random.choice([0, 1, 5, 6, 20, 21, 999]) for _ in range(n_clusters * (n_clusters - 1))])
    found = hit_rates(table(steps), table(history), n_clusters, START, END, arms, [("a", "b")], support)
    tallies, _ = naive(steps, history, n_clusters, arms)

    assert [(level.low, level.high) for level in found.levels] == [(0, 0), (1, 5), (6, 20), (21, None)]
    assert sum(level.pairs for level in found.levels) == len(support)
    for level in found.levels:
        there = [t for t in tallies if level.low <= support[t.pair] <= (1000 if level.high is None else level.high)]
        triples = [t for t in there if t.triple]
        assert level.occurrences == len(there)
        for arm in level.arms:
            assert arm.rate == over_users(there, [t.hit[arm.name] for t in there])
            assert arm.recall == over_users(triples, [t.next[arm.name] for t in triples])
        assert level.differences[0].estimate == over_users(triples, [t.next["a"] - t.next["b"] for t in triples])
    assert replace(found, levels=()) == hit_rates(table(steps), table(history), n_clusters, START, END, arms, [("a", "b")])


def test_the_spread_of_an_arm_is_that_of_all_its_versions_and_the_frontier_trades_it_for_recall() -> None:
    """3 clusters leave one novel answer to each pair: 2 of 6 pairs each. 5 clusters: `narrow` is right and answers few."""
    (only,) = hit_rates(table(HAND[:4]), None, 4, START, END, {"only": [DatedMapping(START, answering({}, 4))]}, []).arms
    share = np.bincount(answering({}, 4)) / 12
    assert only.effective_clusters == pytest.approx(2 ** -sum(p * np.log2(p) for p in share if p))

    narrow = answering({(0, 1): 2, (1, 2): 3}, 5)
    wide = np.array([next(c % 5 for c in range(a + b, a + b + 5) if c % 5 not in (a, b)) for a, b in zip(*pairs(5), strict=True)])
    poor = answering({(0, 1): 4, (1, 2): 4}, 5)
    arms = {name: [DatedMapping(START, found)] for name, found in {"narrow": narrow, "wide": wide, "poor": poor}.items()}
    found = hit_rates(table(HAND), None, 5, START, END, arms, [])
    by_name = {arm.name: arm for arm in found.arms}
    assert (by_name["wide"].effective_clusters or 0) > (by_name["poor"].effective_clusters or 0)
    (spread, _) = found.frontiers
    assert spread.against == "effective_clusters"
    assert "poor" not in spread.arms
    assert set(spread.arms) >= {"wide"}


def test_support_of_other_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="support of 6 pairs is not that of 4 clusters"):
        hit_rates(table([]), None, 4, START, END, {}, [], np.zeros(6, np.int64))


@settings(deadline=None, max_examples=20)
@given(logs(), st.integers(0, 99))
def test_neither_chunks_nor_the_order_of_history_and_versions_matter(
    drawn: tuple[int, list[Step], list[Step], dict[str, list[DatedMapping]]], seed: int
) -> None:
    n_clusters, steps, history, arms = drawn
    shuffled = np.random.default_rng(seed).permutation(len(history))
    cut = len(steps) // 2
    chunked = pa.concat_tables([table(steps[:cut]), table(steps[cut:])])
    backwards = {name: versions[::-1] for name, versions in arms.items()}

    assert hit_rates(
        chunked, table([history[i] for i in shuffled]), n_clusters, START, END, backwards, [("a", "b")]
    ) == hit_rates(table(steps), table(history), n_clusters, START, END, arms, [("a", "b")])
