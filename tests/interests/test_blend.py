from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.optimize import check_grad
from scipy.special import logsumexp

from driftline.interests import blend, metrics
from driftline.interests.blend import Blend
from driftline.interests.counting_model import Strengths, answers, counting_model, fit_strengths
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.pairs import pairs
from driftline.interests.scores import Scores
from tests.interests.drawn import World, all_scores
from tests.interests.tables import recall, table

SIZE = 12


def exactly(alpha: float, beta: float, gamma: float, m: float) -> blend.Weights:
    """Known for sure."""
    return blend.Weights(alpha, False, *(Estimate(value, 1.0, 1.0, 100) for value in (alpha, beta, gamma, m)))


def test_probabilities_by_hand() -> None:
    """To (0, 1) the LLM says 2 with 0.8 and 3 with 0.2; the five other pairs to which 2 (or 3) is novel get it with 0.5."""
    model = counting_model(table({(0, 1, 2): 3, (0, 1, 3): 1}), 4, Strengths(10, 2))
    log_p = np.log(np.full((12, 4), 0.5))
    rows, (c1, c2) = np.arange(12), pairs(4)
    log_p[rows, c1] = log_p[rows, c2] = -np.inf
    log_p[0] = [-np.inf, -np.inf, np.log(0.8), np.log(0.2)]
    scores = all_scores(log_p, 4)
    mean = np.array([0, 0, *(np.log([0.5, 0.5]) * 5 + np.log([0.8, 0.2])) / 6])
    prior = np.exp(2 * (np.log([0.8, 0.2]) - mean[2:]) + 0.5 * model.log_popularity[2:] + model.log_backoff(np.array([0]))[0, 2:])

    found = np.exp(Blend(model, scores, exactly(2, 0.5, 1, 8)).log_p(np.array([0]))[0])
    assert found == pytest.approx([0, 0, *((np.array([3, 1]) + 8 * prior / prior.sum()) / 12)])


def test_without_the_llm_the_blend_is_the_counting_model() -> None:
    world = World(SIZE, seed=3)
    model = counting_model(world.draw(500), SIZE, Strengths(20, 5))
    every = np.arange(SIZE * (SIZE - 1))
    assert Blend(model, world.llm(1.0), exactly(0, 0, 1, 5)).log_p(every) == pytest.approx(model.log_p(every))


def test_the_gradient_is_that_of_the_likelihood() -> None:
    world = World(SIZE, seed=4)
    model = counting_model(world.draw(500), SIZE, Strengths(20, 5))
    sample = blend._sample(model, world.llm(1.0), world.draw(300))
    wrong = check_grad(
        lambda theta: blend._objective(theta, sample)[0], lambda theta: blend._objective(theta, sample)[1], [0.3, 0.2, 0.8, 1.5]
    )
    assert wrong < 1e-3


def test_alpha_says_whether_the_llm_knows_something() -> None:
    """Ten logs each: an LLM that knows the pair's own pull always has an interval above 0, one that knows nothing seldom."""
    knows, guesses = [], []
    for seed in range(10):
        world = World(SIZE, seed)
        counts, validation = world.draw(1000), world.draw(1500)
        model = counting_model(counts, SIZE, fit_strengths(counts, validation, SIZE))
        knows.append(blend.fit(model, world.llm(1.0), validation).llm.differs)
        guesses.append(blend.fit(model, world.llm(0.0), validation).llm.differs)

    assert sum(knows) == 10
    assert sum(guesses) <= 2


@pytest.mark.parametrize("n", [130, 1300, 13_000])
def test_the_blend_is_no_worse_than_either_and_better_where_pairs_are_rare(n: int) -> None:
    """On days that nothing has seen; about 1, 10 and 100 triples a pair."""
    gains = []
    for seed in range(5):
        world = World(SIZE, seed, pair=1.0)
        counts, validation, test = world.draw(n), world.draw(1500), world.draw(20_000)
        scores = world.llm(1.0)
        model = counting_model(counts, SIZE, fit_strengths(counts, validation, SIZE))
        weights = blend.fit(model, scores, validation)
        llm = metrics.most_frequent(counts, SIZE).set_column(2, "c_next", pa.array(scores.answer[:, 0].astype(np.int32)))
        others = [llm, answers(model.log_p, SIZE), metrics.most_frequent(counts, SIZE), metrics.most_popular(counts, SIZE)]
        best = max(recall(mapping, test) or 0 for mapping in others)
        gains.append((recall(answers(Blend(model, scores, weights).log_p, SIZE), test) or 0) / best - 1)

    assert np.mean(gains) > -0.01
    if n == 130:
        assert np.mean(gains) > 0.10


def test_the_likeliest_answers_and_what_is_left_are_nearly_all() -> None:
    """Weights from the six likeliest of ten are near those from all."""
    world = World(SIZE, seed=5)
    counts, validation = world.draw(1000), world.draw(3000)
    model = counting_model(counts, SIZE, fit_strengths(counts, validation, SIZE))
    whole = world.llm(1.0)
    some = all_scores(whole.dense(np.arange(SIZE * (SIZE - 1))), SIZE, k=6)
    all_of, few = (blend.fit(model, scores, validation).llm for scores in (whole, some))

    assert few.value == pytest.approx(all_of.value, abs=0.2)
    assert few.differs


def test_what_is_left_is_shared_and_never_likelier_than_what_is_known() -> None:
    scores = Scores(5, np.tile([4, -1], (20, 1)), np.log(np.tile([0.4, 0.3], (20, 1))), np.log(np.full(20, 0.2)))
    assert np.exp(scores.dense(np.array([0]))[0]) == pytest.approx([0, 0, 0.1, 0.1, 0.4])
    much = replace(scores, log_rest=np.zeros(20))
    assert np.exp(much.dense(np.array([0]))[0]) == pytest.approx([0, 0, 0.4, 0.4, 0.4])


def test_smoothed_scores_are_a_mixture_with_chance() -> None:
    scores = Scores(5, np.tile([4, 3, 2], (20, 1)), np.log(np.tile([0.9, 0.06, 0.04], (20, 1))), np.full(20, -np.inf))
    pair = np.array([0])
    assert np.exp(scores.smoothed().dense(pair)[0]) == pytest.approx([0, 0, *(0.9 * np.array([0.04, 0.06, 0.9]) + 0.1 / 3)])
    some = replace(scores, answer=np.tile([4, -1, -1], (20, 1)), log_rest=np.full(20, np.log(0.1)))
    assert np.exp(some.smoothed().dense(pair)[0]) == pytest.approx([0, 0, *(0.9 * np.array([0.05, 0.05, 0.9]) + 0.1 / 3)])


def test_an_llm_that_makes_the_window_likelier_but_hits_no_more_often_has_no_say() -> None:
    """It knows what comes second, and takes it for what comes first."""
    c1, c2 = pairs(6)
    novel = [sorted({*range(6)} - {int(a), int(b)}) for a, b in zip(c1, c2, strict=True)]

    def counted(*n: int) -> pa.Table:
        """So often each pair's lowest novel interest came next, and the others in their order."""
        rows = zip(c1.tolist(), c2.tolist(), novel, strict=True)
        return table({(a, b, c): times for a, b, after in rows for c, times in zip(after, n, strict=True)})

    log_p = np.full((30, 6), -np.inf)
    for row, after in enumerate(novel):
        log_p[row, after] = np.log([0.3, 0.15, 0.15, 0.4])
    model, scores = counting_model(counted(60, 20, 20, 20), 6, Strengths(5, 5)), all_scores(log_p, 6)
    weights = blend.shrunk_fit(model, scores, counted(30, 3, 3, 24))
    assert weights.llm.low is not None
    assert weights.llm.low > 0
    assert weights.llm_used == 0
    assert blend.shrunk_fit(model, scores, counted(24, 3, 3, 30)).llm_used > 0


def test_an_llm_that_hits_more_often_than_its_blend_answers_alone() -> None:
    """What has become popular only the LLM knows, and its mean is taken out; of pairs it knows something, too."""
    c1, c2 = pairs(SIZE)
    chance = np.random.default_rng(0)
    novel = [sorted({*range(SIZE)} - {int(a), int(b)}) for a, b in zip(c1, c2, strict=True)]
    own = [int(chance.choice(after[1:])) for after in novel]
    counts, later, log_p = {}, {}, np.full((len(c1), SIZE), -np.inf)
    for row, (a, b, after) in enumerate(zip(c1.tolist(), c2.tolist(), novel, strict=True)):
        for c in after:
            counts[a, b, c] = 3 if c == 1 else 1
            later[a, b, c] = 40 if c == 0 else 30 if c == own[row] else 3
            log_p[row, c] = np.log(later[a, b, c] / 200)
    model, scores = counting_model(table(counts), SIZE, Strengths(20, 5)), all_scores(log_p, SIZE)
    weights = blend.shrunk_fit(model, scores, table(later))
    every = np.arange(len(c1))
    assert weights.llm_alone
    assert Blend(model, scores, weights).log_p(every).argmax(axis=1).tolist() == log_p.argmax(axis=1).tolist()
    assert not blend.fit(model, scores, table(later)).llm_alone


def test_answers_are_complete_novel_and_the_same_however_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(SIZE, seed=6)
    counts, validation, scores = world.draw(1000), world.draw(500), world.llm(1.0)
    model = counting_model(counts, SIZE, Strengths(20, 5))
    weights = blend.fit(model, scores, validation)
    made = Blend(model, scores, weights)
    found, log_p = answers(made.log_p, SIZE), made.log_p(np.arange(SIZE * (SIZE - 1)))

    assert found["c_next"].to_pylist() == log_p.argmax(axis=1).tolist()
    assert found["score"].to_numpy() == pytest.approx(log_p.max(axis=1))
    assert logsumexp(log_p, axis=1) == pytest.approx(np.zeros(len(log_p)), abs=1e-9)
    monkeypatch.setattr("driftline.interests.counting_model.CELLS", 50)
    assert answers(made.log_p, SIZE)["c_next"].equals(found["c_next"])


def test_of_many_pairs_a_share_is_fitted_and_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(SIZE, seed=7)
    counts, validation, scores = world.draw(1000), world.draw(3000), world.llm(1.0)
    model = counting_model(counts, SIZE, Strengths(20, 5))
    whole = blend.fit(model, scores, validation)
    monkeypatch.setattr("driftline.interests.blend.CELLS", 60 * SIZE)
    some = blend.fit(model, scores, validation)

    assert (some.llm.n, whole.llm.n) == (60, validation.group_by(["c1", "c2"]).aggregate([]).num_rows)
    assert some == blend.fit(model, scores, validation)
    assert some.llm.value == pytest.approx(whole.llm.value, abs=0.5)


def test_no_validation_is_refused() -> None:
    world = World(SIZE, seed=8)
    model = counting_model(world.draw(100), SIZE, Strengths(20, 5))
    with pytest.raises(ValueError, match="validation window"):
        blend.fit(model, world.llm(1.0), table({}))


def test_an_llm_that_cannot_be_told_to_know_anything_has_no_say() -> None:
    world = World(SIZE, seed=3)
    counts, validation = world.draw(500), world.draw(60)
    model, every = counting_model(counts, SIZE, Strengths(20, 5)), np.arange(SIZE * (SIZE - 1))
    for fit in (blend.fit, blend.shrunk_fit):
        weights = fit(model, world.llm(0.0), validation)
        assert not weights.llm.differs
        assert weights.llm_used == 0
        assert Blend(model, world.llm(0.0), weights).log_p(every) == pytest.approx(model.log_p(every))


@pytest.mark.parametrize("speaks", [1.0, -1.0], ids=["for its answers", "against them"])
def test_as_much_of_alpha_answers_as_is_sure_and_the_others_suit_it(speaks: float) -> None:
    world = World(SIZE, seed=3)
    counts, validation = world.draw(500), world.draw(1500)
    model = counting_model(counts, SIZE, Strengths(20, 5))
    knowing = world.llm(1.0)
    scores = replace(knowing, log_p=speaks * knowing.log_p)
    likeliest, shrunk = (fit(model, scores, validation) for fit in (blend.fit, blend.shrunk_fit))

    assert shrunk.llm == likeliest.llm
    assert likeliest.llm_used == likeliest.llm.value
    assert shrunk.llm_used == (shrunk.llm.low if speaks > 0 else shrunk.llm.high)
    sample = blend._sample(model, scores, validation)

    def slope(weights: blend.Weights) -> list[float]:
        others = [weights.popularity.value, weights.backoff.value, np.log(weights.strength.value or 1)]
        return list(blend._objective(np.array([shrunk.llm_used, *others]), sample)[1][1:])

    assert slope(shrunk) == pytest.approx([0, 0, 0], abs=0.05)
    assert slope(likeliest) != pytest.approx([0, 0, 0], abs=0.05)


def test_an_llm_that_was_right_for_one_window_costs_less() -> None:
    """A third of the validation window goes where the LLM says; nothing before it and nothing after."""
    lost: dict[str, list[float]] = {"fit": [], "shrunk_fit": []}
    for seed in range(8):
        world, left = World(SIZE, seed), World(SIZE, seed + 100)
        counts, validation, test = world.draw(300), pa.concat_tables([world.draw(1000), left.draw(500)]), world.draw(20_000)
        model = counting_model(counts, SIZE, fit_strengths(counts, validation, SIZE))
        counted = recall(answers(model.log_p, SIZE), test) or 0
        for name, all_lost in lost.items():
            weights = getattr(blend, name)(model, left.llm(1.0), validation)
            all_lost.append(counted - (recall(answers(Blend(model, left.llm(1.0), weights).log_p, SIZE), test) or 0))
    assert max(lost["fit"]) > 0.01
    assert max(lost["shrunk_fit"]) < 0.8 * max(lost["fit"])
