import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.contracts import BadInput
from driftline.engines.trie import LONGEST, Trie

END = 0


def test_a_worked_example() -> None:
    trie = Trie([[5, 6, END], [5, 7, 8, END], [5, 7, 9, END], [4, END]])
    assert trie.allowed(trie.root, 1, 2) == [4, 5]
    assert trie.allowed(trie.root, 0, 3) == [5]  # 4 leads to c2 only
    chain, fork = trie.forced(trie.root, 0, 3)
    assert chain == [5, 7]
    assert trie.allowed(fork, 0, 3) == [8, 9]
    chain, end = trie.forced(fork, 0, 1)
    assert (chain, end.cluster) == ([9, END], 2)


@pytest.mark.parametrize("labels", [[[5, END], [5, 6, END]], [[5, END], [5, END]], [[4, END], [5, 6, END], [5, END]]])
def test_descriptions_that_begin_another_are_refused(labels: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="change one of the two descriptions"):
        Trie(labels)


@given(st.sets(st.lists(st.integers(1, 4), min_size=3, max_size=3).map(tuple), min_size=3, max_size=20), st.data())
def test_every_walk_ends_at_a_novel_cluster_and_every_novel_cluster_is_reached(
    texts: set[tuple[int, ...]], data: st.DataObject
) -> None:
    labels = [[*text, END] for text in texts]
    trie = Trie(labels)
    c1, c2 = data.draw(st.permutations(range(len(labels))))[:2]
    reached, open_nodes = set(), [trie.root]
    while open_nodes:
        node = open_nodes.pop()
        allowed = trie.allowed(node, c1, c2)
        assert allowed == sorted(allowed)
        assert bool(allowed) == (node.cluster is None)
        open_nodes += [node.children[token] for token in allowed]
        reached |= {node.cluster} - {None}
    assert reached == set(range(len(labels))) - {c1, c2}


def test_a_description_has_a_bounded_number_of_tokens() -> None:
    end = [END]
    longest = list(range(1, LONGEST + 1))
    assert Trie([longest + end, [500, *end]]).longest == LONGEST + 1
    with pytest.raises(BadInput, match=rf"cluster 0 has {LONGEST + 1} tokens, more than {LONGEST}: import shorter names"):
        Trie([[*longest, 9, *end], [500, *end]])
