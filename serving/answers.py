"""Histories to answers: the channel of each, its interests by that channel's own items, and what to explore next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from driftline.interests.assignment import channel_of
from driftline.interests.back_off import next_interests, sequence
from driftline.serving.channels import ServedChannel
from driftline.serving.items import add_items
from driftline.serving.messages import Ask, Channel, Next, NextInterests


class RequestError(Exception):
    """A request that has no answer: HTTP status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Router:
    """Which channel answers whom."""

    weights: Mapping[str, float]
    """By channel; empty: everybody gets `default`."""
    salt: str
    default: str

    def channel(self, ask: Ask) -> str:
        if ask.channel is not None:
            return ask.channel
        return channel_of(ask.user, self.weights, self.salt) if self.weights and ask.user is not None else self.default


def answer(
    served: Mapping[str, ServedChannel],
    router: Router,
    asks: Sequence[Ask],
    stale_since: datetime | None,
    first: int | None = None,
) -> list[NextInterests]:
    """Answers each of `asks`, all from the one state `served`.

    Args:
        first: the number of the first of `asks` in its batch.

    Raises:
        RequestError: a request of them cannot be answered; in a batch the sentence says which.
    """
    by_channel: dict[str, list[int]] = {}
    for number, ask in enumerate(asks):
        by_channel.setdefault(router.channel(ask), []).append(number)
    answers: dict[int, NextInterests] = {}
    for channel, numbers in by_channel.items():
        one = find(served, channel, named=asks[numbers[0]].channel is not None)
        items = [str(item) for number in numbers for item in asks[number].items or ()]
        known, now, at = one.interests_of(items), datetime.now(UTC), 0
        for number in numbers:
            ask = asks[number]
            try:
                end = at + len(ask.items or ())
                answers[number] = _one(one, ask, known[at:end], now, stale_since)
                at = end
            except RequestError as refused:
                where = "" if first is None else f"request {first + number}: "
                raise RequestError(refused.status, f"{where}{refused}") from None
        _recommend(one, [asks[number] for number in numbers], [answers[number] for number in numbers])
    return [answers[number] for number in range(len(asks))]


def _recommend(served: ServedChannel, asks: Sequence[Ask], answers: Sequence[NextInterests]) -> None:
    """The items, where they are asked for. Raises RequestError: there is nothing that could recommend."""
    if not any(ask.recommend for ask in asks):
        return
    if served.recommender is None:
        raise RequestError(503, f"channel {served.pointer.channel!r} recommends no items: see docs/serving.md, Items")
    add_items(served.recommender, asks, answers)
    for ask, answer in zip(asks, answers, strict=True):
        if ask.recommend and served.pointer.recommender is not None:
            answer.recommender = served.pointer.recommender


def find(served: Mapping[str, ServedChannel], channel: str, *, named: bool = True) -> ServedChannel:
    """What a channel serves.

    Raises:
        RequestError: nothing; that is the caller's mistake (404) where the channel was `named`, else the server's (503).
    """
    if (one := served.get(channel)) is None:
        status = 404 if named and served else 503
        raise RequestError(status, f"nothing is published on channel {channel!r}: see `driftline tables list`")
    return one


def describe(one: ServedChannel, stale_since: datetime | None) -> Channel:
    """What `/v1/channels` says of a channel."""
    pointer, now = one.pointer, datetime.now(UTC)
    return Channel(
        channel=pointer.channel,
        version=pointer.version,
        kind=pointer.kind,
        cluster_set=pointer.cluster_set,
        interests=pointer.clusters,
        items=len(one.interests.hashes),
        nominal=pointer.nominal,
        published=pointer.published,
        age_seconds=_age(pointer.published, now),
        approved=pointer.approved,
        stale_since=stale_since,
    )


def _one(served: ServedChannel, ask: Ask, known: list[int], now: datetime, stale_since: datetime | None) -> NextInterests:
    pointer, names = served.pointer, served.interests.names
    if ask.items is not None and ask.interests is not None:
        raise RequestError(422, "give `items` or `interests`, not both")
    if ask.cluster_set not in (None, pointer.cluster_set):
        raise RequestError(409, f"channel {pointer.channel!r} serves cluster set {pointer.cluster_set}, not {ask.cluster_set}")
    history = ask.interests if ask.interests is not None else [interest for interest in known if interest >= 0]
    if history and max(history) >= pointer.clusters:
        raise RequestError(422, f"interest {max(history)}: cluster set {pointer.cluster_set} has 0 to {pointer.clusters - 1}")
    seen = sequence(history, pointer.dedup)
    found = next_interests(served.table.answers, served.table.ranking, seen, ask.top)
    return NextInterests(
        channel=pointer.channel,
        version=pointer.version,
        cluster_set=pointer.cluster_set,
        nominal=pointer.nominal,
        published=pointer.published,
        age_seconds=_age(pointer.published, now),
        approved=pointer.approved,
        stale_since=stale_since,
        pair=(seen[-2], seen[-1]) if len(seen) > 1 else None,
        next=[Next(interest, names[interest], how) for interest, how in found],
        novel=len(set(seen)) < pointer.clusters,
        unknown_items=len(known) - len(history) if ask.items is not None else 0,
    )


def _age(published: datetime, now: datetime) -> float:
    return max(0.0, round((now - published).total_seconds(), 3))
