"""Boundaries as they are drawn, compared with what the networks predict."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.animation import FuncAnimation
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from scipy.sparse import csr_matrix
from sklearn.datasets import load_iris, make_moons
from sklearn.exceptions import NotFittedError

import skperceptron
from skperceptron import BackpropMLP, BackpropMLPRegressor, HillClimbMLP
from skperceptron.inspection import BoundaryHistoryDisplay, WeightHistory
from skperceptron.plotting._axes import COLORS

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
X, y = make_moons(60, noise=0.2, random_state=0)
IRIS = load_iris()


def fit(estimator, X=X, y=y, **options):
    history = WeightHistory(**options)
    estimator.set_callbacks(history).fit(X, y)
    return history


@pytest.fixture(scope="module")
def history():
    with skperceptron.config_context(tracking=False):
        return fit(HillClimbMLP((5,), "step", max_iter=300, random_state=0))


@pytest.fixture(scope="module")
def history_of_three():
    clf = BackpropMLP((5,), max_iter=10, learning_rate_init=0.1, random_state=0)
    with skperceptron.config_context(tracking=False):
        return fit(clf, IRIS.data[:, 2:], IRIS.target_names[IRIS.target])


def drawn(history, X=X, y=y, **options):
    return BoundaryHistoryDisplay.from_history(
        history, X, y, **{"grid_resolution": 20, **options}
    )


def assert_shows_predictions(display, panel, estimator):
    """Check the grid that is drawn against the classes that are predicted there."""
    boundary = display.displays_[panel]
    grid = np.c_[boundary.xx0.ravel(), boundary.xx1.ravel()]
    codes = np.searchsorted(estimator.classes_, estimator.predict(grid))
    assert_array_equal(boundary.response.ravel(), codes)
    assert boundary.surface_.axes is display.axes_[panel]


def test_panels_show_what_the_network_predicted_then(history):
    display = drawn(history, iterations=[0, 30, 300])
    for panel, iteration in enumerate([0, 30, 300]):
        assert_shows_predictions(display, panel, history.estimator_at(iteration))


def test_three_classes(history_of_three):
    X, y = IRIS.data[:, 2:], IRIS.target_names[IRIS.target]
    display = drawn(history_of_three, X, y, iterations=[1, 10])
    assert_shows_predictions(display, 1, history_of_three.estimator_at(10))
    legend = display.figure_.legends[0]
    assert [t.get_text() for t in legend.get_texts()] == IRIS.target_names.tolist()


def test_titles_count_and_score(history, history_of_three):
    display = drawn(history, iterations=[300])
    accuracy = np.mean(history.estimator_at(300).predict(X) == y)
    assert display.axes_[0].get_title() == f"iteration 300\naccuracy {accuracy:.2f}"
    labels = IRIS.target_names[IRIS.target]
    display = drawn(history_of_three, IRIS.data[:, 2:], labels, iterations=[10])
    assert display.axes_[0].get_title().startswith("epoch 10\n")


def test_samples_have_the_colour_of_their_class_and_of_its_area(history):
    (panel,) = drawn(history, iterations=[300]).axes_
    areas, *samples = panel.collections
    for label, points in enumerate(samples):
        assert_array_equal(points.get_offsets(), X[y == label])
        assert_allclose(points.get_facecolor()[0, :3], to_rgb(COLORS[label]))
        assert_allclose(areas.get_facecolor()[label, :3], to_rgb(COLORS[label]))


def test_four_iterations_are_chosen_and_more_of_the_early_ones(history):
    assert drawn(history).iterations_ == [0, 12, 63, 300]
    clf = BackpropMLP((2,), max_iter=2)
    assert drawn(fit(clf)).iterations_ == [0, 1, 2]
    assert drawn(fit(HillClimbMLP((2,), max_iter=0))).iterations_ == [0]


def test_own_axes_are_used(history):
    panels = Figure().subplots(1, 2)
    display = drawn(history, iterations=[0, 300], ax=panels)
    assert display.axes_ == list(panels)
    assert display.figure_ is panels[0].figure
    assert plt.get_fignums() == []
    assert drawn(history, iterations=[0], ax=panels[0]).axes_ == [panels[0]]


def test_panels_of_a_new_figure_have_the_same_axes(history):
    for n_panels in (1, 2, 3, 4, 5):
        display = drawn(history, iterations=history.iterations_[:n_panels])
        assert len(display.axes_) == len(display.figure_.axes) == n_panels
        assert len({panel.get_xlim() for panel in display.axes_}) == 1


def test_dataframes_name_the_axes():
    frame = pd.DataFrame(X, columns=["length", "width"])
    history = fit(BackpropMLP((2,), max_iter=2, random_state=0), frame)
    (panel,) = drawn(history, frame, iterations=[2]).axes_
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("length", "width")


class TestAnimation:
    def frames_of(self, animation):
        return list(animation.new_frame_seq())

    def test_has_a_frame_for_each_iteration(self, history, tmp_path):
        display = BoundaryHistoryDisplay(history, X, y, grid_resolution=20)
        animation = display.animate(iterations=[0, 30, 300])
        assert isinstance(animation, FuncAnimation)
        assert self.frames_of(animation) == [0, 30, 300]
        animation.save(tmp_path / "boundary.gif", dpi=40)
        with Image.open(tmp_path / "boundary.gif") as image:
            assert image.n_frames == 3
        assert plt.get_fignums() == []

    def test_frames_show_what_the_panels_show(self, history):
        display = BoundaryHistoryDisplay(history, X, y, grid_resolution=20)
        ax = Figure(dpi=20).subplots()
        animation = display.animate(iterations=[0, 30, 300], ax=ax)
        for iteration in (300, 30):
            animation._func(iteration)
            (panel,) = display.plot(iterations=[iteration]).axes_
            assert ax.get_title() == panel.get_title()
            assert len(ax.collections) == len(panel.collections)
            for here, there in zip(
                ax.collections[0].get_paths(),
                panel.collections[0].get_paths(),
                strict=True,
            ):
                assert_array_equal(here.vertices, there.vertices)
        animation.to_jshtml()

    def test_has_all_iterations_by_default(self):
        history = fit(BackpropMLP((2,), max_iter=2, random_state=0))
        animation = BoundaryHistoryDisplay(history, X, y).animate()
        assert self.frames_of(animation) == [0, 1, 2]
        animation.to_jshtml()

    def test_needs_no_ipython(self, history, monkeypatch):
        monkeypatch.setitem(sys.modules, "IPython", None)
        display = BoundaryHistoryDisplay(history, X, y, grid_resolution=20)
        html = display.animate(iterations=[0, 300]).to_jshtml()
        assert html.count("data:image/png;base64") == 2

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"interval": 0}, ValueError, "interval must be from 1 to 60000, got 0"),
            ({"interval": "fast"}, TypeError, "interval must be an int"),
            ({"iterations": []}, ValueError, "iterations must not be empty"),
            ({"iterations": [7]}, ValueError, "after iteration 7; the nearest"),
            ({"ax": 3}, TypeError, "ax must be matplotlib axes"),
            ({"ax": Figure().subplots(2)}, ValueError, "1 in all; got 2"),
        ],
    )
    def test_refuses_options(self, history, options, error, message):
        with pytest.raises(error, match=message):
            BoundaryHistoryDisplay(history, X, y).animate(**options)

    def test_refuses_empty_history(self):
        with pytest.raises(NotFittedError, match="WeightHistory is empty"):
            BoundaryHistoryDisplay(WeightHistory(), X, y).animate()


class TestRefused:
    def test_empty_history(self):
        with pytest.raises(NotFittedError, match="WeightHistory is empty"):
            drawn(WeightHistory())

    def test_what_is_no_history(self, history):
        with pytest.raises(TypeError, match="must be a WeightHistory, got HillClimb"):
            drawn(history.estimator_at(0))

    def test_regressor(self):
        reg = BackpropMLPRegressor(max_iter=2, random_state=0)
        with pytest.raises(TypeError, match="BackpropMLPRegressor has none"):
            drawn(fit(reg))

    @pytest.mark.parametrize("n_features", [1, 4])
    def test_other_than_two_features(self, n_features):
        data = IRIS.data[:, :n_features]
        history = fit(BackpropMLP((2,), max_iter=2), data, IRIS.target)
        with pytest.raises(ValueError, match=f"this BackpropMLP has {n_features}"):
            drawn(history, data, IRIS.target)

    def test_several_labels_per_sample(self):
        labels = np.c_[y, 1 - y]
        history = fit(BackpropMLP((2,), max_iter=2), y=labels)
        with pytest.raises(ValueError, match="one label per sample"):
            drawn(history, y=labels)

    def test_too_many_classes(self):
        labels = np.arange(60) % 8
        history = fit(BackpropMLP((2,), max_iter=2), y=labels)
        with pytest.raises(ValueError, match="7 classes, and BackpropMLP has 8"):
            drawn(history, y=labels)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"X": X[:, :1]}, ValueError, "X must have two columns, got 1"),
            ({"X": X * np.nan}, ValueError, "NaN"),
            ({"X": csr_matrix(X)}, TypeError, "Sparse"),
            ({"y": y[:-1]}, ValueError, "inconsistent numbers of samples"),
            ({"y": y + 1}, ValueError, r"does not know: \[2\]"),
            ({"iterations": []}, ValueError, "iterations must not be empty"),
            ({"iterations": [7]}, ValueError, "after iteration 7; the nearest"),
            ({"iterations": [0], "ax": "figure"}, TypeError, "ax must be matplotlib"),
            (
                {"iterations": [0, 3], "ax": Figure().subplots()},
                ValueError,
                "one axes for each panel, 2 in all; got 1",
            ),
            ({"grid_resolution": 1}, ValueError, "from 2 to 1000, got 1"),
            ({"grid_resolution": 10**6}, ValueError, "from 2 to 1000, got 1000000"),
            ({"grid_resolution": 2.5}, TypeError, "grid_resolution must be an int"),
        ],
    )
    def test_options_that_cannot_be_used(self, history, options, error, message):
        with pytest.raises(error, match=message):
            drawn(history, **options)
