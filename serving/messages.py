"""Requests and answers, as msgspec reads, checks and writes them; the OpenAPI document is made of the same types."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from driftline.interests.back_off import How

MAX_REQUESTS = 10_000
MAX_HISTORY = 1_000
MAX_TOP = 100
MAX_ITEMS = 100

Text = Annotated[str, Meta(max_length=500)]
Interest = Annotated[int, Meta(ge=0, le=2**31 - 1)]


Items = Annotated[list[Text | int], Meta(max_length=MAX_HISTORY, description="Item ids of the log, oldest first")]
Interests = Annotated[list[Interest], Meta(max_length=MAX_HISTORY, description="Interest ids, oldest first")]


class Ask(Struct, forbid_unknown_fields=True):
    """What a user showed, oldest first: `items`, or `interests` of the served cluster set, or neither."""

    items: Items | None = None
    interests: Interests | None = None
    cluster_set: Annotated[int, Meta(description="Refuse unless the interests served are of this cluster set")] | None = None
    user: Annotated[Text, Meta(description="Chooses the channel by a stable hash, unless `channel` is given")] | None = None
    channel: Annotated[Text, Meta(description="The channel to answer from")] | None = None
    top: Annotated[int, Meta(ge=1, le=MAX_TOP, description="How many interests at most")] = 1
    recommend: Annotated[int, Meta(ge=0, le=MAX_ITEMS, description="How many items of each interest at most")] = 0
    exclude: Annotated[list[Text | int], Meta(max_length=MAX_HISTORY, description="Items not to recommend")] | None = None


class Item(Struct):
    """An item of an interest that the user has not had."""

    item: str
    score: Annotated[float, Meta(description="To compare the items of one answer by, nothing else")]


class Next(Struct):
    """An interest to explore next."""

    interest: int
    name: str
    how: Annotated[How, Meta(description="The pair's answer; a successor of the newest interest; a popular interest")]
    score: Annotated[float, Meta(description="Not yet known: null")] | None = None
    items: Annotated[list[Item], Meta(description="With `recommend` only; best first")] | UnsetType = UNSET


class NextInterests(Struct):
    """The next novel interests, all from one version of table and items."""

    channel: str
    version: Annotated[int, Meta(description="The transition table that answers")]
    cluster_set: Annotated[int, Meta(description="Whose interest ids these are")]
    nominal: Annotated[datetime, Meta(description="The end of the table's data")]
    published: Annotated[datetime, Meta(description="When the channel was moved to this table")]
    age_seconds: Annotated[float, Meta(description="Since then")]
    approved: Annotated[bool, Meta(description="False: the table's approval was taken back since; roll back")]
    stale_since: Annotated[datetime, Meta(description="When Postgres last confirmed it, if it does not answer now")] | None
    pair: Annotated[tuple[int, int], Meta(description="The last two interests shown; null where there are not two")] | None
    next: Annotated[list[Next], Meta(description="Best first")]
    novel: Annotated[bool, Meta(description="False where the history has every interest there is")]
    unknown_items: Annotated[int, Meta(description="Items of the history that the cluster set does not know")] = 0
    recommender: Annotated[int, Meta(description="With `recommend` only: the version that chose the items")] | UnsetType = UNSET


class Channel(Struct):
    """What a channel serves."""

    channel: str
    version: int
    kind: str
    cluster_set: int
    interests: int
    items: int
    nominal: datetime
    published: datetime
    age_seconds: float
    approved: bool
    stale_since: datetime | None


class Problem(Struct):
    """Why there is no answer, in one sentence."""

    error: str


Body = Ask | Annotated[list[Ask], Meta(max_length=MAX_REQUESTS)]
