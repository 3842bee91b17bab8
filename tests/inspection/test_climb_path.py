"""Paths of climbs, compared with the climbs that fits make."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss, make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skperceptron
from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.inspection import ClimbPathDisplay, WeightHistory
from skperceptron.inspection._climb_trace import ClimbTrace
from skperceptron.plotting._axes import COLORS

pytestmark = pytest.mark.usefixtures("untracked")
IRIS = load_iris()
X, y = IRIS.data[50:, 2:] - IRIS.data[50:, 2:].mean(axis=0), IRIS.target[50:]
LENGTH = X[:, :1]  # one feature: two weights
TEXTBOOK = {
    "surrogate_iter": 0,
    "mutation": "all",
    "step_schedule": "constant",
    "init": "uniform",
    "max_iter": 100,
    "random_state": 0,
}


def perceptron(**params):
    return HillClimbPerceptron(**{**TEXTBOOK, **params})


def drawn(estimator, X=X, y=y, **options):
    options = {"ax": Figure().subplots(), "grid_resolution": 7, **options}
    return ClimbPathDisplay.from_estimator(estimator, X, y, **options)


def weights_of(estimator):
    if hasattr(estimator, "coef_"):
        return np.append(estimator.coef_.T.ravel(), estimator.intercept_)
    return np.concatenate(
        [np.ravel(w) for w in estimator.coefs_ + estimator.intercepts_]
    )


def accuracy_of(weights, X=LENGTH):
    """Score a perceptron of which only the weights are known."""
    *w, b = weights
    return np.mean((X @ w + b >= 0) == (y == 2))


class TestTrace:
    @pytest.mark.parametrize(
        "estimator",
        [
            perceptron(),
            perceptron(objective="f1_macro", mutation=0.5, step_schedule="one_fifth"),
            perceptron(objective=make_scorer(balanced_accuracy_score)),
            HillClimbMLP((3,), max_iter=100, random_state=0),
            HillClimbMLP(
                (3,), "step", objective="accuracy", **{**TEXTBOOK, "mutation": "unit"}
            ),
            HillClimbMLP((3,), early_stopping=True, max_iter=100, random_state=0),
        ],
        ids=["textbook", "share", "scorer", "descent", "unit", "early stopping"],
    )
    def test_climbs_as_the_fit_does(self, estimator):
        trace = ClimbTrace.of(estimator, X, y)
        assert not hasattr(estimator, "classes_")
        estimator.fit(X, y)
        assert len(trace.candidates) == estimator.n_iter_
        assert trace.is_kept.sum() == estimator.n_accepted_
        if not estimator.early_stopping:  # which returns to an earlier position
            assert_allclose(trace.positions[-1], weights_of(estimator), rtol=1e-12)
        start = estimator.set_params(max_iter=0, early_stopping=False).fit(X, y)
        assert_array_equal(trace.positions[0], weights_of(start))

    def test_fits_keep_no_candidates(self):
        estimator = perceptron().fit(X, y)
        before = set(vars(estimator))
        ClimbTrace.of(estimator, X, y)
        assert set(vars(estimator)) == before

    def test_is_not_tracked_and_tells_no_callbacks(self):
        switches = []

        def objective(y_true, y_pred):
            switches.append(skperceptron.get_config()["tracking"])
            return np.mean(y_true == y_pred)

        history = WeightHistory()
        estimator = perceptron(objective=objective).set_callbacks(history)
        with skperceptron.config_context(tracking=True):
            ClimbTrace.of(estimator, X, y)
        assert set(switches) == {False}
        assert history.iterations_ == []


class TestTwoWeights:
    def test_path_is_that_of_the_weights(self):
        trace = ClimbTrace.of(perceptron(), LENGTH, y)
        display = drawn(perceptron(), LENGTH)
        candidates = np.array(trace.candidates)
        assert_array_equal(display.rejected, candidates[~trace.is_kept])
        assert_array_equal(display.path[1:], candidates[trace.is_kept])
        start = perceptron(max_iter=0).fit(LENGTH, y)
        assert_array_equal(display.path[0], weights_of(start))
        assert_array_equal(display.path[-1], weights_of(perceptron().fit(LENGTH, y)))

    def test_accepted_candidates_are_not_worse_and_rejected_ones_are(self):
        display = drawn(perceptron(), LENGTH)
        scores = [accuracy_of(weights) for weights in display.path]
        assert (np.diff(scores) >= 0).all()
        assert all(accuracy_of(w) < scores[-1] for w in display.rejected)

    def test_landscape_is_the_accuracy(self):
        display = drawn(perceptron(), LENGTH)
        expected = [[accuracy_of((w, b)) for w in display.x] for b in display.y]
        assert_allclose(display.values, expected)
        assert (display.axis_names, display.value_name) == (
            ("weight", "bias"),
            "accuracy",
        )

    @pytest.mark.parametrize("alpha", [0, 2.0])
    def test_landscape_of_the_log_loss(self, alpha):
        clf = HillClimbMLP((), objective="log_loss", alpha=alpha, **TEXTBOOK)
        display = drawn(clf, LENGTH)
        w, b = display.x[2], display.y[5]
        loss = log_loss(y, 1 / (1 + np.exp(-(LENGTH[:, 0] * w + b))))
        assert_allclose(display.values[5, 2], -loss - alpha / 2 * w**2 / len(y))
        name = "minus the log loss" + (", less its penalty" if alpha else "")
        assert display.colorbar_.ax.get_ylabel() == name

    def test_all_of_it_is_drawn(self):
        display = drawn(perceptron(), LENGTH)
        assert_array_equal(display.path_.get_xydata(), display.path)
        assert_array_equal(display.rejected_.get_xydata(), display.rejected)
        assert_array_equal(display.start_.get_xydata(), display.path[:1])
        assert_array_equal(display.end_.get_xydata(), display.path[-1:])
        assert_array_equal(display.surface_.get_array(), display.values)
        colors = [
            to_rgb(line.get_color()) for line in (display.path_, display.rejected_)
        ]
        assert colors == [to_rgb(COLORS[0]), to_rgb(COLORS[1])]
        legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        n_accepted = len(display.path) - 1
        assert legend == [
            "start",
            f"{n_accepted} accepted",
            f"{100 - n_accepted} rejected",
            "end",
        ]

    def test_path_is_inside(self):
        display = drawn(perceptron(step_schedule="one_fifth", max_iter=500), LENGTH)
        for values, (low, high) in zip(
            display.path.T,
            (display.ax_.get_xlim(), display.ax_.get_ylim()),
            strict=True,
        ):
            assert low < values.min()
            assert values.max() < high


class TestMoreWeights:
    def positions(self, estimator):
        trace = ClimbTrace.of(estimator, X, y)
        kept = np.array(trace.candidates)[trace.is_kept]
        return np.vstack([trace.positions[0], kept])

    def test_plane_is_that_of_the_principal_components(self):
        positions = self.positions(perceptron())
        display = drawn(perceptron())
        centred = positions - positions.mean(axis=0)
        variances = np.linalg.eigvalsh(centred.T @ centred)[::-1]
        drawn_path = display.path - display.path.mean(axis=0)
        assert_allclose(np.sum(drawn_path**2, axis=0), variances[:2])
        assert_allclose(display.path[-1], 0)
        share = variances[0] / variances.sum()
        assert display.axis_names[0] == (
            f"direction 1 ({share:.0%} of the path's variance)"
        )

    def test_landscape_goes_through_the_end(self):
        fitted = perceptron().fit(X, y)
        directions = np.eye(3)[:2]
        display = drawn(perceptron(), directions=directions)
        w = weights_of(fitted)
        expected = [
            [accuracy_of(w + np.array([u, v, 0]), X) for u in display.x]
            for v in display.y
        ]
        assert_allclose(display.values, expected)
        assert_allclose(display.path, self.positions(perceptron())[:, :2] - w[:2])

    def test_second_direction_is_turned_to_a_right_angle(self):
        straight = drawn(perceptron(), directions=[[1, 0, 0], [0, 1, 0]])
        oblique = drawn(perceptron(), directions=[[2, 0, 0], [5, 3, 0]])
        assert_allclose(oblique.path, straight.path)

    def test_multiclass_networks(self):
        clf = HillClimbMLP((3,), max_iter=50, random_state=0)
        display = drawn(clf, IRIS.data, IRIS.target)
        assert len(display.path) + len(display.rejected) == 51

    def test_climb_that_stays_is_drawn_among_its_candidates(self):
        values = iter([1.0])
        clf = perceptron(objective=lambda y_true, y_pred: next(values, 0.0))
        display = drawn(clf)
        assert_allclose(display.path, [[0, 0]])
        assert len(display.rejected) == 100


def test_overflowing_places_are_left_blank():
    display = ClimbPathDisplay(
        np.zeros((2, 2)),
        np.ones((1, 2)),
        np.arange(2),
        np.arange(2),
        np.array([[-np.inf, 1], [2, 3]]),
    ).plot(Figure().subplots())
    assert display.surface_.get_array().mask.tolist() == [[True, False], [False, False]]


def test_new_figure_is_made_with_pyplot():
    display = drawn(perceptron(), ax=None)
    assert plt.get_fignums() == [display.figure_.number]


class TestRefused:
    @pytest.mark.parametrize(
        "estimator",
        [
            BackpropMLP(),
            LogisticRegression(),
            HillClimbPerceptron,
            make_pipeline(StandardScaler(), perceptron()),
            "perceptron",
        ],
    )
    def test_what_does_not_climb(self, estimator):
        with pytest.raises(TypeError, match="must be a HillClimbPerceptron, a"):
            drawn(estimator)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"n_restarts": 2}, "path of one climb is drawn, and n_restarts=2"),
            ({"surrogate_iter": 100}, "Set surrogate_iter=0"),
            (
                {"surrogate_iter": "auto", "step_schedule": "one_fifth"},
                "Set surrogate_iter=0",
            ),
            ({"max_iter": 0}, "no path with max_iter=0"),
            ({"max_iter": 1}, "all on one line. Increase max_iter"),
            ({"step_size": -1}, "'step_size' parameter"),
        ],
    )
    def test_climbs_without_a_path(self, params, message):
        with pytest.raises(ValueError, match=message):
            drawn(perceptron(**params))

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            (
                {"directions": np.eye(2)},
                ValueError,
                r"the shape \(2, 3\), as there are",
            ),
            ({"directions": np.ones((2, 3))}, ValueError, "directions must differ"),
            ({"directions": np.zeros((2, 3))}, ValueError, "neither may be zero"),
            (
                {"directions": [[1, 2, np.nan]] * 2},
                ValueError,
                "directions contains NaN",
            ),
            ({"directions": "pca"}, ValueError, "could not convert"),
            ({"grid_resolution": 1}, ValueError, "from 2 to 500, got 1"),
            ({"grid_resolution": None}, TypeError, "grid_resolution must be an int"),
            ({"ax": 3}, TypeError, "ax must be matplotlib axes"),
            ({"X": X * np.nan}, ValueError, "NaN"),
            ({"y": y[:-1]}, ValueError, "inconsistent numbers of samples"),
        ],
    )
    def test_options_that_cannot_be_used(self, options, error, message):
        with pytest.raises(error, match=message):
            drawn(perceptron(), **options)
