"""Networks as they are drawn, compared with their fitted weights."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import (
    BackpropMLP,
    BackpropMLPRegressor,
    HillClimbMLP,
    HillClimbPerceptron,
)
from skperceptron.plotting import NetworkDisplay
from skperceptron.plotting._axes import COLORS

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
IRIS = load_iris(as_frame=True)
X, y = IRIS.data.to_numpy(), IRIS.target.to_numpy()
NAMES = IRIS.target_names[y]


def drawn(estimator, **options):
    options = {"ax": Figure().subplots(), **options}
    return NetworkDisplay.from_estimator(estimator, **options)


def texts(display):
    return [text.get_text() for text in display.ax_.texts]


@pytest.mark.parametrize("cls", [BackpropMLP, HillClimbMLP, MLPClassifier])
def test_each_weight_is_a_line_of_its_width_and_colour(cls):
    clf = cls((5, 3), max_iter=20, random_state=0).fit(X, NAMES)
    display = drawn(clf)
    largest = max(abs(coef).max() for coef in clf.coefs_)
    for lines, coef in zip(display.lines_, clf.coefs_, strict=True):
        widths = np.array(lines.get_linewidths())
        assert_allclose(widths, 4 * abs(coef).ravel() / largest)
        expected = [to_rgba(COLORS[int(weight > 0)]) for weight in coef.ravel()]
        assert_allclose(lines.get_colors(), expected)


def test_lines_end_at_their_units():
    display = drawn(BackpropMLP((2,), max_iter=5).fit(X, NAMES))
    first, last = display.lines_[0].get_segments()[0], display.lines_[1].get_segments()
    assert_allclose(first, [(0, 1.5), (1, 0.5)])  # from x0 to the upper hidden unit
    assert_allclose(last[-1], [(1, -0.5), (2, -1)])


@pytest.mark.parametrize("labels", [y, y > 0], ids=["three", "two"])
def test_perceptron(labels):
    clf = HillClimbPerceptron(max_iter=20, random_state=0).fit(X, labels)
    (lines,) = (display := drawn(clf)).lines_
    coef = clf.coef_.T
    assert_allclose(lines.get_linewidths(), (4 * abs(coef) / abs(coef).max()).ravel())
    assert display.layer_names == ["input", "output"]
    assert display.output_names == (["True"] if len(coef[0]) == 1 else ["0", "1", "2"])


def test_units_have_the_names_of_features_and_classes():
    pipeline = make_pipeline(StandardScaler(), BackpropMLP((5,), max_iter=5))
    pipeline.set_output(transform="pandas").fit(IRIS.data, NAMES)
    found = texts(drawn(pipeline))
    assert {*IRIS.feature_names, *IRIS.target_names} < set(found)
    assert {"input\n4 units", "relu\n5 units", "softmax\n3 units"} < set(found)
    clf = BackpropMLP((5,), max_iter=5).fit(X, y)
    assert {"x0", "x3", "0", "2"} < set(texts(drawn(clf)))
    assert {"a", "d"} < set(texts(drawn(clf, feature_names=list("abcd"))))


def test_outputs_of_a_regressor_are_numbered():
    reg = BackpropMLPRegressor(max_iter=5, random_state=0)
    assert drawn(reg.fit(X, X[:, :2])).output_names == ["y0", "y1"]
    assert drawn(reg.fit(X, X[:, 0])).output_names == ["y"]


def test_functions_as_activations_have_their_names():
    clf = HillClimbMLP((3,), activation=np.tanh, max_iter=5).fit(X, y)
    assert drawn(clf).layer_names[1].endswith("tanh")


@pytest.mark.parametrize("max_units", [2, 5, 12])
def test_the_middle_of_large_layers_is_left_out(max_units):
    clf = BackpropMLP((30,), max_iter=5, random_state=0).fit(X, y)
    display = drawn(clf, max_units=max_units)
    _, units, _ = display.units_
    assert len(units) == max_units
    assert units[0] == 0
    assert units[-1] == 29
    assert texts(display).count("⋮") == sum(n > max_units for n in (4, 30, 3))
    rows, columns = display.units_[:2]
    widths = np.array(display.lines_[0].get_linewidths())
    shown = abs(clf.coefs_[0][np.ix_(rows, columns)]).ravel()
    assert_allclose(widths / widths.max(), shown / shown.max())


class TestRefused:
    def test_what_is_not_fitted(self):
        with pytest.raises(NotFittedError):
            drawn(BackpropMLP())

    def test_what_is_no_network(self):
        with pytest.raises(TypeError, match="RandomForestClassifier is no network"):
            drawn(RandomForestClassifier(2).fit(X, y))

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"max_units": 1}, ValueError, "max_units must be at least 2"),
            ({"max_units": 2.5}, TypeError, "max_units must be an int"),
            ({"feature_names": ["a"]}, ValueError, "each of the 4 features, got 1"),
            ({"ax": 3}, TypeError, "ax must be matplotlib axes"),
        ],
    )
    def test_options_that_cannot_be_used(self, options, error, message):
        clf = BackpropMLP((2,), max_iter=2).fit(X, y)
        with pytest.raises(error, match=message):
            drawn(clf, **options)
