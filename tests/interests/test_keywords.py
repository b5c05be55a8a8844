import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.interests import scripts
from driftline.interests.keywords import cluster_table, rank, stem, words


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

    assert [keywords[:1] for keywords in found] == [["牛肉"], ["käse"], [], [], ["the"], ["x"]]


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<p class="d">Soft&nbsp;cotton <b>shirt</b></p><script>var x = 1</script>', ["soft", "cotton", "shirt"]),
        ("Whole milk &amp;amp; cream &lt;br/&gt; fresh", ["whole", "milk", "cream", "fresh"]),
        ("see https://shop.example/p?id=1&x=y or www.shop.example or me@shop.example", ["see", "or", "or"]),
        ("sofa data:image/png;base64,iVBORw0KGgoAAAANSUhEUg== red", ["sofa", "red"]),
        ("lamp 9e107d9d372bb6826bd81d3542a419d6 550e8400-e29b-41d4-a716-446655440000", ["lamp"]),
        ("key iVBORw0KGgoAAAANSUhEUgAAAAUA end", ["key", "end"]),
        (f"{'x' * 41} y3", ["y3"]),
        ("Rindfleischetikettierungsüberwachung", ["rindfleischetikettierungsüberwachung"]),
        ("5 < 6 and a > b", ["5", "6", "and", "a", "b"]),
        ("搞笑猫咪视频合集", ["搞笑", "猫咪", "视频", "合集"]),
        ("เสื้อผ้าฝ้าย", ["เสื้อ", "ผ้า", "ฝ้าย"]),
        ("猫の動画 cat動画", ["猫", "動画", "cat", "動画"]),
    ],
)
def test_what_of_a_text_is_words(text: str, expected: list[str]) -> None:
    assert [word for run in words(text) for word in run] == expected


def test_pairs_stand_for_words_where_nothing_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "_jieba", lambda: scripts._pairs)
    assert ranked([["搞笑视频合集", "搞笑猫咪视频"], ["新鲜牛奶", "脱脂牛奶"], ["oil"], ["tea"]])[1][0] == "牛奶"


def test_a_keyword_has_a_letter() -> None:
    assert ranked([["2024 milk", "2024 cheese"], ["1984", "2001"], ["oil"], ["7 up"]]) == [
        ["cheese", "milk"],
        [],
        ["oil"],
        ["up"],
    ]
