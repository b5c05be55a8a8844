import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.interests.descriptions import describe


@pytest.mark.parametrize(
    ("ranked", "count", "expected"),
    [
        ([["beef", "ground", "steak"], ["milk", "skim"]], 2, ["beef, ground", "milk, skim"]),
        ([["beef", "ground"], ["beef", "steak"]], 1, ["beef, ground", "beef, steak"]),
        ([["beef", "steak"], ["beef", "ground"], ["beef"]], 1, ["beef, steak", "beef, ground", "beef (2)"]),
        ([["Beef"], ["Beef, ground"]], 1, ["Beef (0)", "Beef, ground"]),
        ([["Beef"], ["BEEF"]], 1, ["Beef (0)", "BEEF (1)"]),
        ([["a"], ["a (0)"], ["a (0)"]], 1, ["a (0) (0)", "a (0) (1)", "a (0) (2)"]),
        ([[], ["", " "], ["meat\n and  more", "Meat and more"]], 3, ["interest (0)", "interest (1)", "meat and more"]),
    ],
)
def test_by_hand(ranked: list[list[str]], count: int, expected: list[str]) -> None:
    assert describe(ranked, count) == expected


piece = st.sampled_from(
    ["a", "A", "ab", "a, b", "b", "(0)", "a (0)", "a (1)", "(1) (1)", "ﬁ", "fi", "ß", "ss", "", " ", ",", "1"]
)


@given(st.lists(st.lists(piece | st.text(max_size=4), max_size=4), max_size=12), st.integers(1, 4))
def test_unique_and_prefix_free_for_any_words(ranked: list[list[str]], count: int) -> None:
    found = [text.casefold() for text in describe(ranked, count)]

    assert len(found) == len(ranked)
    for i, one in enumerate(found):
        assert one == one.strip()
        assert "\n" not in one
        assert not any(other.startswith(one) for j, other in enumerate(found) if i != j)


def test_what_cannot_be_seen_is_no_part_of_a_name() -> None:
    assert describe([["milk\u200b"], ["\u200b\u2060"], ["tea\0pot"], ["soft\u00a0drinks"]], 1) == [
        "milk",
        "interest",
        "teapot",
        "soft drinks",
    ]
