import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skperceptron.optim import Mutation, Streams
from skperceptron.optim.climbs._hill_climb import HillClimb


def make_problem(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 4))
    y = X @ [1.0, -2, 0.5, 0] + 0.3 * rng.normal(size=60) >= 0

    def accuracy(w):
        return np.mean((X @ w[:-1] + w[-1] >= 0) == y)

    return accuracy, rng.uniform(size=5)


def climb_from(start, objective, *, seed=0, step_size=0.1, adapt=False, **mutation):
    mutation = Mutation(Streams.from_seed(seed), start.size, start.dtype, **mutation)
    return HillClimb(start, mutation, objective, step_size=step_size, adapt=adapt)


def literal_climb(objective, start, noise):
    """The algorithm as one would explain it, fed with given noise."""
    current, value, history = list(start), objective(start), []
    for row in noise:
        candidate = [w + step for w, step in zip(current, row, strict=True)]
        candidate_value = objective(np.array(candidate))
        history.append(candidate_value >= value)
        if candidate_value >= value:
            current, value = candidate, candidate_value
    return current, value, history


@pytest.mark.parametrize("seed", range(5))
def test_same_noise_gives_the_accept_history_of_the_literal_algorithm(seed):
    accuracy, start = make_problem(seed)
    noise = 0.05 * np.random.default_rng(seed).standard_normal((500, 5))
    current, value, history = literal_climb(accuracy, start, noise)

    climb = climb_from(start, accuracy, step_size=0.05, seed=seed)
    accepted = []
    for _ in range(500):
        before = climb.n_accepted
        climb.run(1)
        accepted.append(climb.n_accepted > before)

    assert accepted == history
    assert_array_equal(climb.params, current)
    assert climb.value == value
    assert climb.n_evaluations == 501


def test_ties_are_accepted():
    climb = climb_from(np.zeros(3), lambda w: 1.0)
    climb.run(20)
    assert climb.n_accepted == 20
    assert np.all(climb.params != 0)


def test_worse_and_undefined_candidates_are_rejected():
    values = iter([0.5, 0.4, np.nan, -np.inf, 0.6])
    climb = climb_from(np.zeros(3), lambda w: next(values))
    assert_array_equal(climb.run(4), [0.5, 0.5, 0.5, 0.6])
    assert climb.n_accepted == 1


def test_one_long_climb_equals_two_short_ones():
    accuracy, start = make_problem()
    long, short = (climb_from(start, accuracy, seed=1) for _ in range(2))
    assert_array_equal(long.run(200), np.append(short.run(50), short.run(150)))
    assert_array_equal(long.params, short.params)


def test_start_is_never_written_to():
    accuracy, start = make_problem()
    before = start.copy()
    climb_from(start, accuracy).run(50)
    assert_array_equal(start, before)


def record_moves(**options):
    candidates = []

    def objective(w):
        candidates.append(w)
        return -1.0 * (len(candidates) > 1)  # the start stays the best

    climb = climb_from(np.zeros(6), objective, step_size=1.0, **options)
    climb.run(400)
    return np.array(candidates[1:]) != 0, climb


def test_share_moves_that_share_of_the_parameters():
    moved, _ = record_moves(share=0.25)
    # 4 standard errors of a share estimated from 2400 draws
    assert abs(moved.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / moved.size)


def test_groups_move_one_group_at_a_time():
    groups = [np.array([0, 1]), np.array([2, 3, 4, 5])]
    moved, _ = record_moves(groups=groups)
    masks = {tuple(row) for row in moved}
    assert masks == {(True,) * 2 + (False,) * 4, (False,) * 2 + (True,) * 4}


def test_rejections_shrink_the_step_of_their_group_only():
    groups = [np.array([0, 1]), np.array([2, 3, 4, 5])]
    moved, climb = record_moves(groups=groups, adapt=True)
    n_first = moved[:, 0].sum()
    expected = 1.5 ** (-np.array([n_first, 400 - n_first]) / 4)
    np.testing.assert_allclose(climb.step_size, expected)


def test_one_fifth_rule_finds_the_step_size_by_itself():
    climb = climb_from(
        np.full(10, 5.0),
        lambda w: -float(w @ w),
        step_size=100.0,  # far too large
        adapt=True,
    )
    climb.run(2000)
    n_rejected = 2000 - climb.n_accepted
    np.testing.assert_allclose(
        climb.step_size, 100 * 1.5 ** (climb.n_accepted - n_rejected / 4)
    )
    assert -climb.value < 1e-12


def test_candidate_that_moves_nothing_leaves_the_step_alone():
    climb = climb_from(
        np.zeros(1), lambda w: 0.0, step_size=1.0, adapt=True, share=1e-12
    )
    climb.run(50)
    assert climb.step_size == 1.0


def test_noise_has_the_type_of_the_parameters():
    start = np.zeros(3, dtype=np.float32)
    climb = climb_from(start, lambda w: 0.0)
    climb.run(3)
    assert climb.params.dtype == np.float32


def test_streams_are_a_generator_and_its_children():
    noise = np.random.default_rng(7)
    choice, *children = noise.spawn(3)
    streams = Streams.from_seed(7)
    assert streams.noise.random() == noise.random()
    assert streams.choice.random() == choice.random()
    for own, child in zip(streams.spawn(2), children, strict=True):
        grandchild, _ = child.spawn(2)
        assert own.noise.random() == child.random()
        assert own.choice.random() == grandchild.random()
