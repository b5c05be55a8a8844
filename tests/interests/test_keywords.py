import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interests.keywords import cluster_table, rank, stem, words


def ranked(clusters: list[list[str]], traffic: int = 1) -> list[list[str]]:
    of = np.repeat(np.arange(len(clusters), dtype=np.int32), [len(texts) for texts in clusters])
    return rank([text for texts in clusters for text in texts], np.full(len(of), traffic), of, len(clusters))


def test_score_by_hand() -> None:
    """A = (2 + 2 + 1 + 1) / 4 = 1.5. In the first cluster cheese scores 1 · log(1 + 1.5 / 1) = .92, aged ½ · log(1 + 1.5 / ½) =
    .69 and fresh ½ · log(1 + 1.5 / 1) = .46; these count half as words of one text, and half again as cheese covers that text."""
    found = ranked([["fresh cheese", "aged cheese"], ["fresh milk", "skim milk"], ["oil"], ["tea"]])

    assert found == [["cheese", "aged", "fresh"], ["milk", "skim", "fresh"], ["oil"], ["tea"]]


def test_words_common_everywhere_name_nothing() -> None:
    assert ranked([["shop oil", "shop ink"], ["shop tea", "shop"], ["shop", "shop"]]) == [["ink", "oil"], ["tea"], ["shop"]]


def test_products_get_readable_names() -> None:
    found = ranked(
        [
            ["GROCERY SOFT DRINKS SOFT DRINKS CAN", "GROCERY SOFT DRINKS SFT DRNK 2 LITER", "GROCERY SOFT DRINKS COLA"],
            ["GROCERY FRZN ICE ICE - CRUSHED/CUBED", "GROCERY FRZN ICE CREAM", "GROCERY FRZN POPSICLES"],
            ["GROCERY BREAD:WHITE BREADS", "GROCERY BREAD RYE", "GROCERY BREADS WHEAT"],
        ]
    )

    assert found[0][0] == "soft drinks"
    assert found[1][0] == "ice"
    assert found[2][0] == "bread"
    everything = [word for keywords in found for keyword in keywords[:3] for word in keyword.split()]
    assert not {"grocery", "breads", "frzn", "2"} & set(everything)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GROCERY FRZN ICE ICE - CRUSHED/CUBED", [["grocery", "frzn", "ice", "ice"], ["crushed"], ["cubed"]]),
        ("Children’s T-Light multi-packs", [["children's", "t-light", "multi", "packs"]]),
        ("Käse, हिन्दी 牛肉 ＡＢＣ", [["käse"], ["हिन्दी", "牛肉", "abc"]]),
        ("  -- !! ", []),
    ],
)
def test_words(text: str, expected: list[list[str]]) -> None:
    assert [run for run in words(text) if run] == expected


def test_stem_joins_singular_and_plural() -> None:
    for one, many in [
        ("bread", "breads"),
        ("berry", "berries"),
        ("box", "boxes"),
        ("dish", "dishes"),
        ("child", "child's"),
        ("glass", "glasses"),
    ]:
        assert stem(one) == stem(many)


def test_words_of_any_language_digits_and_nothing() -> None:
    found = ranked([["牛肉", "牛肉 鸡"], ["Käse", "Käse alt"], ["123 456", "123"], ["", "  "], ["of the", "the"], ["x"]])

    assert [keywords[:1] for keywords in found] == [["牛肉"], ["käse"], ["123"], [], ["the"], ["x"]]


def test_no_words_at_all() -> None:
    assert ranked([["", "!"], ["?"]]) == [[], []]


@given(st.lists(st.lists(st.text(max_size=20), min_size=1, max_size=5), min_size=1, max_size=6))
def test_any_text_and_any_order(clusters: list[list[str]]) -> None:
    assert ranked(clusters) == ranked([texts[::-1] for texts in clusters])


def test_cluster_table() -> None:
    table = cluster_table(["beef", "pork", "milk"], np.array([1, 1, 0], dtype=np.int32), np.array([5, 1, 2]), count=2)

    assert table.to_pydict() == {
        "cluster": [0, 1],
        "name": ["milk", "beef, pork"],
        "description": ["milk", "beef, pork"],
        "keywords": [["milk"], ["beef", "pork"]],
        "traffic": [2, 6],
    }
