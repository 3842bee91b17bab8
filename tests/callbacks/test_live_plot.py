"""A plot that is drawn while fits go on."""

import copy
import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import (
    BackpropMLP,
    BackpropMLPRegressor,
    HillClimbMLP,
    HillClimbPerceptron,
)
from skperceptron.callbacks import LivePlot, _board, _screen
from skperceptron.callbacks._text_chart import text_chart

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

X, y = load_iris(return_X_y=True)
ESTIMATORS = [
    HillClimbPerceptron(max_iter=20, random_state=0),
    HillClimbMLP((3,), max_iter=20, random_state=0),
    BackpropMLP((3,), max_iter=4, tol=10, random_state=0),
    BackpropMLPRegressor(hidden_layer_sizes=(3,), max_iter=4, tol=10, random_state=0),
]
ids = [type(est).__name__ for est in ESTIMATORS]
net = ESTIMATORS[2]


class Screen:
    """Remembers what it was told to draw."""

    def __init__(self):
        self.drawn = []
        self.is_closed = False

    def draw(self, fits):
        self.drawn.append(list(fits))

    def close(self):
        self.is_closed = True


@pytest.fixture
def screens(monkeypatch):
    """The screens that are opened, in their order."""
    opened = []

    def make_screen():
        opened.append(Screen())
        return opened[-1]

    monkeypatch.setattr(_board, "make_screen", make_screen)
    return opened


@pytest.fixture
def console(monkeypatch):
    """Makes the console of the process, and what is written to it."""

    def make(**options):
        console = Console(file=io.StringIO(), width=80, **options)
        monkeypatch.setattr(_screen, "get_console", lambda: console)
        return console.file

    return make


def curve(estimator):
    name = "objective_curve_" if "Climb" in type(estimator).__name__ else "loss_curve_"
    return getattr(estimator, name)


@pytest.mark.parametrize("est", ESTIMATORS, ids=ids)
def test_curve_grows_while_the_fit_goes_on(est, screens):
    est.set_callbacks(LivePlot(min_interval=0)).fit(X, y)
    est.set_callbacks()
    (screen,) = screens
    assert screen.is_closed
    lengths = [len(fits[-1].curves["values"]) for fits in screen.drawn]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 2
    np.testing.assert_array_equal(screen.drawn[-1][-1].curves["values"], curve(est))
    assert all(len(fits) == 1 for fits in screen.drawn)


def test_a_quick_fit_is_drawn_at_its_beginning_and_its_end(screens):
    clf = BackpropMLP((3,), max_iter=50, tol=0, random_state=0)
    clf.set_callbacks(LivePlot(min_interval=1e6)).fit(X, y)
    assert [fits[-1].curves["steps"][-1] for fits in screens[0].drawn] == [1, 50]


def test_long_curves_are_thinned_out_and_keep_their_ends(screens):
    clf = HillClimbPerceptron(max_iter=1000, random_state=0)
    clf.set_callbacks(LivePlot()).fit(X, y)
    curves = screens[0].drawn[-1][-1].curves
    assert len(curves["values"]) == 300
    assert curves["steps"][[0, -1]].tolist() == [0, 1000]
    np.testing.assert_array_equal(
        curves["values"], clf.objective_curve_[curves["steps"]]
    )


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_search_is_one_display_of_all_its_fits(screens, n_jobs):
    pipeline = make_pipeline(StandardScaler(), net)
    grid = {"backpropmlp__alpha": [1e-4, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=n_jobs)
    search.set_callbacks(LivePlot()).fit(X, y)
    (screen,) = screens
    fits = screen.drawn[-1]
    assert len(fits) == 2 * 2 + 1
    refit = search.best_estimator_[-1]
    np.testing.assert_array_equal(fits[-1].curves["values"], refit.loss_curve_)


def test_fits_in_a_block_share_a_display(screens):
    with LivePlot() as live_plot:
        for alpha in (1e-4, 1.0, 0.1):
            clf = BackpropMLP((3,), max_iter=3, tol=10, alpha=alpha, random_state=0)
            clf.set_callbacks(live_plot).fit(X, y)
        assert not screens[0].is_closed
    (screen,) = screens
    assert screen.is_closed
    fits = screen.drawn[-1]
    assert len(fits) == 3
    number, best = _screen.best_of(fits)
    losses = [fit.curves["values"][-1] for fit in fits]
    assert number == 1 + np.argmin(losses)
    assert best.value == min(losses)


def test_fits_without_a_block_have_displays_of_their_own(screens):
    cross_val_score(net.set_callbacks(LivePlot()), X, y, cv=3)
    net.set_callbacks()
    assert [len(screen.drawn[-1]) for screen in screens] == [1, 1, 1]


def test_partial_fits_of_one_estimator_are_one_fit(screens):
    clf = BackpropMLP((3,), random_state=0)
    with LivePlot() as live_plot:
        clf.set_callbacks(live_plot)
        for _ in range(3):
            clf.partial_fit(X, y, classes=[0, 1, 2])
    (fit,) = screens[0].drawn[-1]
    assert len(fit.curves["values"]) == 3


def test_fits_are_compared_by_their_best_validation_score(screens):
    with LivePlot() as live_plot:
        for seed in range(3):
            clf = HillClimbMLP(
                (3,), max_iter=100, early_stopping=True, random_state=seed
            )
            clf.set_callbacks(live_plot).fit(X, y)
    fits = screens[0].drawn[-1]
    values = [max(fit.curves["validation_scores"]) for fit in fits]
    number, best = _screen.best_of(fits)
    assert (number, best.value) == (1 + np.argmax(values), max(values))
    assert best.compared == "validation score"


def test_other_objectives_are_not_drawn_in_the_same_axes(screens):
    with LivePlot() as live_plot:
        for objective in ("accuracy", "log_loss", "accuracy"):
            clf = HillClimbMLP((3,), max_iter=10, objective=objective, random_state=0)
            clf.set_callbacks(live_plot).fit(X, y)
    fits = screens[0].drawn[-1]
    assert _screen.comparable(fits) == [fits[0], fits[2]]
    assert [n for n, _ in [_screen.best_of(fits[:2])]] == [2]


def test_a_fit_that_fails_ends_its_display(screens):
    def fail(y_true, y_pred):
        raise RuntimeError("no score")

    clf = HillClimbMLP((3,), max_iter=10, objective=fail, surrogate_iter=0)
    with pytest.raises(ValueError, match="no score"):
        clf.set_callbacks(LivePlot()).fit(X, y)
    assert screens[0].is_closed


def test_output_to_a_file_has_the_last_chart_only(console):
    written = console(force_terminal=False)
    clf = HillClimbMLP(
        (3,), max_iter=50, objective="balanced_accuracy", early_stopping=True
    )
    clf.set_callbacks(LivePlot(min_interval=0)).fit(X, y)
    lines = written.getvalue().splitlines()
    assert lines[0] == f"HillClimbMLP, fit 1, iteration {clf.n_iter_}"
    assert lines[-1] == (
        f"objective (balanced_accuracy): {clf.objective_curve_[-1]:.4g}, "
        f"validation score: {clf.validation_scores_[-1]:.4g}"
    )
    assert len(lines) == 10
    assert "█" in lines[-2]


def test_terminal_is_drawn_again_and_again_in_its_place(console):
    written = console(force_terminal=True)
    net.set_callbacks(LivePlot(min_interval=0)).fit(X, y)
    net.set_callbacks()
    text = written.getvalue()
    assert text.count("BackpropMLP, fit 1, epoch") > 1
    assert "\x1b[1A" in text  # the cursor goes up


def test_terminal_names_the_best_of_several_fits(console):
    written = console(force_terminal=False)
    with LivePlot() as live_plot:
        cross_val_score(copy.copy(net).set_callbacks(live_plot), X, y, cv=3)
    last = written.getvalue().splitlines()[-1]
    assert last.startswith("best loss: ")
    assert last[-1] in "123"


def test_notebook_shows_one_figure_that_changes(console, monkeypatch):
    from IPython import display

    images = []

    class Handle:
        def update(self, image):
            images.append(image)

    def show(image, *, display_id):
        images.append(image)
        return Handle()

    console(force_jupyter=True)
    monkeypatch.setattr(display, "display", show)
    net.set_callbacks(LivePlot(min_interval=0)).fit(X, y)
    net.set_callbacks()
    assert len(images) > 1
    assert all(image.data.startswith(b"\x89PNG") for image in images)


def test_figure_shows_curves_ends_and_the_best(screens):
    from matplotlib.figure import Figure

    with LivePlot() as live_plot:
        cross_val_score(copy.copy(net).set_callbacks(live_plot), X, y, cv=3)
    fits = screens[0].drawn[-1]
    left, right = Figure().subplots(1, 2)
    _screen.draw_curves(left, fits)
    assert [line.get_ydata().tolist() for line in left.lines] == [
        list(fit.curves["values"]) for fit in (fits[1], fits[0], fits[2])
    ]
    assert (left.get_ylabel(), left.get_title()) == (
        "loss",
        "BackpropMLP, fit 3, epoch 4",
    )
    _screen.draw_ends(right, fits)
    ends, best = right.lines
    assert ends.get_ydata().tolist() == [fit.value for fit in fits]
    assert best.get_ydata().tolist() == [min(fit.value for fit in fits)]


@pytest.mark.parametrize(
    "make_copy", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
)
def test_copy_in_the_same_process_draws_for_itself(make_copy, screens):
    twin = make_copy(copy.copy(net).set_callbacks(LivePlot(min_interval=3)))
    twin.fit(X, y)
    assert len(screens) == 1
    assert screens[0].is_closed


def test_copy_of_an_object_that_is_gone_draws_for_itself(screens):
    program = (
        "import sys, pickle; from skperceptron.callbacks import LivePlot;"
        "sys.stdout.buffer.write(pickle.dumps(LivePlot(min_interval=3)))"
    )
    sent = subprocess.run([sys.executable, "-c", program], capture_output=True)
    live_plot = pickle.loads(sent.stdout)
    assert live_plot.min_interval == 3
    copy.copy(net).set_callbacks(live_plot).fit(X, y)
    assert screens[0].is_closed


@pytest.mark.parametrize("value", [-1, np.nan, np.inf, "0.5", None])
def test_wrong_intervals_are_refused(value):
    with pytest.raises(ValueError, match="min_interval must be a number of seconds"):
        LivePlot(min_interval=value)


def test_estimators_without_a_network_are_refused(screens):
    clf = make_pipeline(StandardScaler(), LogisticRegression())
    with pytest.raises(TypeError, match="contains no estimator of skperceptron"):
        clf.set_callbacks(LivePlot()).fit(X, y)


# The chart


def heights(lines):
    """How high the area is in each column, in eighths."""
    area = [line.partition(" ")[2] if line.strip() else "" for line in lines]
    blocks = " ▁▂▃▄▅▆▇█"
    width = max(map(len, area))
    return sum(np.array([blocks.index(c) for c in line.ljust(width)]) for line in area)


def test_chart_is_as_high_as_the_values():
    values = np.array([0.0, 1.0, 0.5, 0.25])
    lines = text_chart(values, width=4, height=2)
    assert [line[0] for line in lines] == ["1", "0"]
    assert heights(lines).tolist() == [1, 16, 8, 5]


def test_chart_stretches_short_curves_over_its_width():
    lines = text_chart(np.array([0.0, 1.0]), width=6, height=2)
    assert heights(lines).tolist() == [1, 1, 1, 16, 16, 16]


def test_chart_of_equal_values_is_half_full():
    lines = text_chart(np.full(5, 3.0), width=5, height=2)
    assert heights(lines).tolist() == [8] * 5


def test_chart_has_a_gap_where_values_are_not_finite():
    lines = text_chart(np.array([0.0, np.nan, 1.0, np.inf, 0.0]), width=5, height=2)
    assert heights(lines).tolist() == [1, 0, 16, 0, 1]
    assert text_chart(np.array([np.nan]), width=5, height=2) == []


def test_chart_can_do_without_block_characters():
    lines = text_chart(np.arange(5.0), width=5, height=3, ascii_only=True)
    assert "".join(lines).isascii()
    assert "#" in lines[0]
