"""The course of a training, by hand."""

import pytest

from driftline.contracts import Training
from driftline.engines.schedule import ValidationPoint, best_of, cools_down_at, ends_at, rate

TRAINING = Training(steps=100, warmup=0.05, cooldown=0.2, validate_every=10, patience=2)


def curve(*measures: tuple[float, float]) -> list[ValidationPoint]:
    return [ValidationPoint(10 * (number + 1), exact, loss) for number, (exact, loss) in enumerate(measures)]


def test_it_ends_with_its_steps_where_validations_improve_to_the_end() -> None:
    improving = curve(*((number / 10, 2.0 - number / 10) for number in range(10)))
    assert (cools_down_at(improving, TRAINING), ends_at(improving, TRAINING)) == (80, 100)
    rates = [rate(step, improving, TRAINING) for step in range(100)]
    assert rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    assert set(rates[5:81]) == {1.0}
    assert rates[80:] == pytest.approx([(100 - step) / 20 for step in range(80, 100)])


def test_it_cools_down_when_both_measures_have_stopped_improving() -> None:
    one_improves = curve((0.5, 2.0), (0.9, 1.5), (0.9, 1.4), (0.95, 1.6), (0.95, 1.6))
    assert cools_down_at(one_improves, TRAINING) == 80
    neither = [*one_improves, ValidationPoint(60, 0.95, 1.39)]  # by less than a hundredth
    assert (cools_down_at(neither, TRAINING), ends_at(neither, TRAINING)) == (60, 75)
    assert rate(59, neither, TRAINING) == rate(60, neither, TRAINING) == 1
    assert rate(74, neither, TRAINING) == pytest.approx(1 / 15)
    later = [*neither, ValidationPoint(70, 1.0, 0.5)]  # it has begun to fall: nothing turns it back
    assert ends_at(later, TRAINING) == 75


def test_without_a_cooldown_it_ends_at_once() -> None:
    flat = curve((0.5, 2.0), (0.5, 2.0), (0.5, 2.0))
    assert ends_at(flat, Training(steps=100, cooldown=0, patience=2)) == 30
    assert ends_at(flat[:2], Training(steps=100, cooldown=0, patience=2)) == 100


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 99, 100])
@pytest.mark.parametrize("cooldown", [0.0, 0.2, 0.5, 0.99])
def test_every_rate_is_above_zero_and_at_most_the_peak(steps: int, cooldown: float) -> None:
    training = Training(steps=steps, cooldown=cooldown, patience=1)
    for known in ([], curve((0.5, 2.0), (0.5, 2.0))):
        assert all(0 < rate(step, known, training) <= 1 for step in range(ends_at(known, training)))
        assert ends_at(known, training) <= steps


def test_exact_match_chooses_first_and_the_loss_among_equals() -> None:
    assert best_of(curve((0.5, 1.0), (0.9, 2.0)), 100, TRAINING).step == 20
    assert best_of(curve((0.93, 1.0), (0.95, 2.0)), 100, TRAINING).step == 10  # 0.93 is within 0.022 of 0.95
    assert best_of(curve((0.92, 1.0), (0.95, 2.0)), 100, TRAINING).step == 20
    assert best_of(curve((0.95, 2.0), (0.94, 1.0), (0.9, 0.5)), 100, TRAINING).step == 20
    assert best_of(curve((1.0, 1.0), (0.98, 0.9)), 100, TRAINING).step == 10  # of 100, one may go wrong
    assert best_of(curve((0.0, 3.0)), 100, TRAINING).step == 10


def test_once_the_rate_falls_the_checkpoints_of_its_peak_are_out() -> None:
    at_peak = curve(*((0.98, 0.39),) * 8)
    early = Training(steps=100, cooldown=0.2, validate_every=10, patience=9)
    assert best_of(at_peak, 64, early).step == 80
    falling = [*at_peak, ValidationPoint(90, 0.9, 0.5)]
    assert best_of(falling, 64, early).step == 90
    assert best_of([*falling, ValidationPoint(100, 0.98, 0.45)], 64, early).step == 100
    assert best_of(falling, 64, Training(steps=100, cooldown=0, patience=9)).step == 80
