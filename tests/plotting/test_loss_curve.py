"""The curves of fits, compared with the fitted attributes."""

import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.plotting import LossCurveDisplay

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
X, y = load_iris(return_X_y=True)
BACKPROP = BackpropMLP((5,), max_iter=7, random_state=0)


def points(line):
    return [list(values) for values in line.get_data()]


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("kind", [BackpropMLP, MLPClassifier])
def test_losses_by_epoch(kind):
    clf = kind((5,), max_iter=7, random_state=0).fit(X, y)
    display = LossCurveDisplay.from_estimator(clf)
    assert points(display.line_) == [list(range(1, 8)), clf.loss_curve_]
    assert display.ax_.get_xlabel() == "epoch"
    assert display.ax_.get_ylabel() == "loss"
    assert display.validation_line_ is display.validation_ax_ is None
    assert legend_texts(display.ax_) == [kind.__name__]


@pytest.mark.parametrize("kind", [HillClimbPerceptron, HillClimbMLP])
def test_objectives_by_iteration_from_the_start_on(kind):
    clf = kind(max_iter=30, random_state=0).fit(X, y)
    display = LossCurveDisplay.from_estimator(clf)
    assert_array_equal(display.line_.get_xdata(), range(31))
    assert_array_equal(display.line_.get_ydata(), clf.objective_curve_)
    assert display.ax_.get_xlabel() == "iteration"
    assert display.ax_.get_ylabel() == "objective"


def test_validation_losses_are_dotted_beside_those_of_training():
    clf = clone(BACKPROP).set_params(early_stopping=True).fit(X, y)
    display = LossCurveDisplay.from_estimator(clf)
    line = display.validation_loss_line_
    assert points(line) == [list(range(1, 8)), clf.validation_loss_curve_]
    assert line.axes is display.ax_
    assert line.get_linestyle() == ":"
    LossCurveDisplay.from_estimator(clone(BACKPROP).fit(X, y), ax=display.ax_)
    assert display.ax_.get_ylabel() == "loss (dotted: validation)"


def test_what_early_stopping_watches_is_drawn_once():
    clf = clone(BACKPROP).set_params(early_stopping=True, scoring="loss").fit(X, y)
    display = LossCurveDisplay.from_estimator(clf)
    assert display.validation_loss_line_ is not None
    assert display.validation_line_ is display.validation_ax_ is None


def test_other_scores_than_the_objective_have_axes_of_their_own():
    clf = HillClimbMLP((5,), max_iter=7, early_stopping=True, scoring="accuracy")
    display = LossCurveDisplay.from_estimator(clf.fit(X, y))
    assert display.validation_line_.axes is display.validation_ax_ is not display.ax_


@pytest.mark.parametrize("kind", [BackpropMLP, MLPClassifier])
def test_validation_scores_beside_losses_have_axes_of_their_own(kind):
    clf = kind((5,), max_iter=7, early_stopping=True, random_state=0).fit(X, y)
    display = LossCurveDisplay.from_estimator(clf)
    line = display.validation_line_
    assert points(line) == [list(range(1, 8)), clf.validation_scores_]
    assert line.axes is display.validation_ax_ is not display.ax_
    assert line.get_linestyle() == "--"
    assert line.get_color() == display.line_.get_color()
    name = kind.__name__
    assert legend_texts(display.validation_ax_) == [name, f"{name}, validation"]


@pytest.mark.parametrize("max_iter", [50, 250])
def test_validation_of_a_climb_shares_axes_and_ends_with_it(max_iter):
    clf = HillClimbPerceptron(
        max_iter=max_iter, early_stopping=True, n_iter_no_change=1000, random_state=0
    ).fit(X, y)
    display = LossCurveDisplay.from_estimator(clf)
    assert display.validation_ax_ is display.ax_
    steps, scores = points(display.validation_line_)
    assert scores == clf.validation_scores_
    logged = clf._curves(-1)["validation_score"]
    assert list(zip(steps, scores, strict=True)) == logged
    assert steps[-1] == clf.n_iter_


def test_several_estimators_in_one_axes():
    ax = Figure().subplots()
    fits = {
        name: BackpropMLP(
            (5,), solver=name, max_iter=5, early_stopping=True, random_state=0
        ).fit(X, y)
        for name in ("sgd", "adam")
    }
    first, second = (
        LossCurveDisplay.from_estimator(clf, name=name, ax=ax)
        for name, clf in fits.items()
    )
    assert first.ax_ is second.ax_ is ax
    assert first.validation_ax_ is second.validation_ax_
    assert first.line_.get_color() != second.line_.get_color()
    expected = {"sgd", "sgd, validation", "adam", "adam, validation"}
    assert set(legend_texts(second.validation_ax_)) == expected


@pytest.mark.parametrize("order", [1, -1])
def test_loss_and_objective_do_not_share_axes(order):
    ax = Figure().subplots()
    classifiers = [clone(BACKPROP), HillClimbPerceptron(max_iter=5)][::order]
    LossCurveDisplay.from_estimator(classifiers[0].fit(X, y), ax=ax)
    with pytest.raises(ValueError, match=r"ax already shows the .*axes of its own"):
        LossCurveDisplay.from_estimator(classifiers[1].fit(X, y), ax=ax)


def test_validation_that_comes_later_leaves_one_legend():
    ax = Figure().subplots()
    for early_stopping in (False, True):
        clf = BackpropMLP(
            (5,), max_iter=5, early_stopping=early_stopping, random_state=0
        ).fit(X, y)
        name = f"early_stopping={early_stopping}"
        display = LossCurveDisplay.from_estimator(clf, name=name, ax=ax)
    assert ax.get_legend() is None
    assert legend_texts(display.validation_ax_) == [
        "early_stopping=False",
        "early_stopping=True",
        "early_stopping=True, validation",
    ]


def test_axes_side_by_side_keep_their_validation_scores_apart():
    clf = BackpropMLP((5,), max_iter=5, early_stopping=True, random_state=0).fit(X, y)
    axes = Figure().subplots(1, 2, sharex=True)
    left, right = (LossCurveDisplay.from_estimator(clf, ax=ax) for ax in axes)
    assert left.validation_ax_ is not right.validation_ax_


def test_network_is_found_in_a_pipeline_and_in_a_search():
    grid = {"backpropmlp__alpha": [0.1, 0.01]}
    search = GridSearchCV(make_pipeline(StandardScaler(), BACKPROP), grid, cv=2)
    search.fit(X, y)
    display = LossCurveDisplay.from_estimator(search)
    network = search.best_estimator_[-1]
    assert_array_equal(display.line_.get_ydata(), network.loss_curve_)


@pytest.mark.parametrize(
    "estimator",
    [
        BACKPROP,
        make_pipeline(StandardScaler(), BACKPROP),
        GridSearchCV(BACKPROP, {"alpha": [0.1]}),
    ],
)
def test_unfitted_estimators(estimator):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        LossCurveDisplay.from_estimator(estimator)


def test_estimators_without_curves():
    clf = LogisticRegression().fit(X, y)
    with pytest.raises(TypeError, match="LogisticRegression has no curves"):
        LossCurveDisplay.from_estimator(clf)
    lbfgs = MLPClassifier((5,), solver="lbfgs", max_iter=5).fit(X, y)
    with pytest.raises(TypeError, match="needs a loss_curve_"):
        LossCurveDisplay.from_estimator(lbfgs)


def test_search_that_has_not_refitted():
    search = GridSearchCV(BACKPROP, {"alpha": [0.1]}, cv=2, refit=False).fit(X, y)
    with pytest.raises(TypeError, match="needs refit=True"):
        LossCurveDisplay.from_estimator(search)


def test_search_in_which_every_fit_failed():
    search = GridSearchCV(BackpropMLP(), {"alpha": [-1.0, -2.0]}, cv=2)
    with pytest.raises(ValueError, match="All the 4 fits failed"):
        search.fit(X, y)
    with pytest.raises(NotFittedError, match=r"all of its fits failed.*'raise'"):
        LossCurveDisplay.from_estimator(search)


@pytest.mark.parametrize(
    "estimator",
    [
        None,
        [1, 2],
        BackpropMLP,
        make_pipeline(StandardScaler(), "passthrough").fit(X),
    ],
)
def test_what_is_no_estimator(estimator):
    with pytest.raises(TypeError, match=r"estimator must be a fitted estimator.*got"):
        LossCurveDisplay.from_estimator(estimator)


def test_unknown_kind():
    display = LossCurveDisplay([1, 2], [0.5, 0.4], kind="accuracy")
    with pytest.raises(ValueError, match=r"\['loss', 'objective'\], got 'accuracy'"):
        display.plot()


@pytest.mark.parametrize("ax", ["left", Figure()])
def test_what_is_no_axes(ax):
    display = LossCurveDisplay([1, 2], [0.5, 0.4], kind="loss")
    with pytest.raises(TypeError, match=r"ax must be matplotlib axes.*got"):
        display.plot(ax)


def test_legend_of_two_axes_covers_no_curve():
    clf = BackpropMLP((5,), max_iter=5, early_stopping=True, random_state=0).fit(X, y)
    display = LossCurveDisplay.from_estimator(clf)
    display.figure_.draw_without_rendering()
    legend = display.validation_ax_.get_legend().get_window_extent()
    assert not legend.overlaps(display.ax_.bbox)
    assert legend.y1 < display.figure_.bbox.y1
