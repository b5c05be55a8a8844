import re

import pytest

from driftline.report import plot_style
from driftline.report.plot_style import spread


def test_labels_that_have_room_stay_where_they_are() -> None:
    assert spread([80.0, 20.0], gap=10, length=100) == [80.0, 20.0]


def test_labels_that_crowd_are_moved_apart_evenly() -> None:
    assert spread([50.0, 50.0], gap=10, length=100) == [45.0, 55.0]
    assert spread([50.0, 52.0, 90.0], gap=10, length=100) == [46.0, 56.0, 90.0]


def test_labels_stay_inside() -> None:
    assert spread([0.0, 1.0, 2.0], gap=10, length=100) == [0.0, 10.0, 20.0]
    assert spread([100.0, 100.0], gap=10, length=100) == [90.0, 100.0]


def test_blocks_that_meet_are_joined() -> None:
    assert spread([10.0, 12.0, 18.0, 20.0], gap=10, length=100) == pytest.approx([0.0, 10.0, 20.0, 30.0])


def test_no_label() -> None:
    assert spread([], gap=10, length=100) == []


def test_an_svg_has_the_colours_and_the_font_of_the_page_and_ids_of_its_own() -> None:
    with plot_style.drawing():
        drawn = plot_style.figure(200, 100)
        axes = drawn.subplots()
        axes.plot([1, 2], [1, 2], color=plot_style.SERIES[0], marker="o")
        axes.fill_between([1, 2], [0, 1], [2, 3], color=plot_style.SERIES[1], alpha=0.2)
        axes.text(1, 1, "a < b & $c$", color=plot_style.INK)
        text = plot_style.svg(drawn, "mine", 'said "aloud" & clear')

    assert 'role="img" aria-label="said &#34;aloud&#34; &amp; clear"' in text
    assert "a &lt; b &amp; $c$" in text
    assert "var(--series-1)" in text
    assert "var(--series-2)" in text
    assert "var(--font)" in text
    assert not re.search(r"#fe01|DejaVu|http|<style|<metadata|#000000", text)
    ids, used = set(re.findall(r' id="([^"]+)"', text)), set(re.findall(r'(?:url\(|href=")#([^")]+)', text))
    assert ids == used
    assert all(name.startswith("mine-") for name in ids)
