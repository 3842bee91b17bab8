"""The example of activations shows gradients that vanish, explode and die."""

import numpy as np
import pandas as pd
import pytest

from examples import activations_and_gradients as example

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture(scope="module")
def digits():
    return example.load_centred_digits()


def test_gradient_vanishes_unless_start_weights_fit_the_activation(digits):
    starts = [("logistic", "glorot_normal", None), ("relu", "he_normal", None)]
    logistic, relu = example.gradients_by_layer(*digits, starts).values()
    assert len(logistic) == len(relu) == 7
    assert logistic[0] / logistic[-1] < 0.01
    assert 0.1 < relu[0] / relu[-1] < 10


def test_gradient_explodes_and_clipping_keeps_the_weights_finite(digits, capsys):
    starts = [("relu", "normal", None), ("relu", "normal", 1.0)]
    norms = example.gradients_by_layer(*digits, starts)
    assert list(norms) == ["relu, normal, clipped"]
    assert min(norms["relu, normal, clipped"]) > 1000
    assert capsys.readouterr().out.startswith("relu, normal: ")


def test_large_learning_rate_kills_relu_but_not_leaky_relu(digits):
    dead = example.count_dead(*digits, learning_rates=[0.3, 3.0])
    table = dead.set_index(["activation", "learning rate"])
    assert table.loc[("relu", 0.3), "never positive"] == 0
    assert table.loc[("relu", 3.0), "never positive"] > 0.9
    assert table.loc[("relu", 3.0), "training accuracy"] < 0.3
    assert table.loc[("leaky_relu", 3.0), "training accuracy"] > 0.95


def test_units_are_counted_that_are_negative_for_every_sample(monkeypatch):
    class Network:
        coefs_ = [np.array([[1.0, -1.0, 0.0]])]
        intercepts_ = [np.array([0.0, -5.0, -1.0])]

        def fit(self, X, y):
            return self

        def score(self, X, y):
            return 0.5

    monkeypatch.setattr(example, "make_classifier", lambda *_, **__: Network())
    X = np.array([[-1.0], [2.0]])
    dead = example.count_dead(X, [0, 1], ["relu"], [0.1])
    assert dead["never positive"].item() == pytest.approx(2 / 3)


def test_figure_draws_all_activations_and_their_derivatives():
    dead = pd.DataFrame(
        [("relu", 0.1, 0.0, 0.9), ("relu", 1.0, 0.5, 0.8)],
        columns=["activation", "learning rate", "never positive", "training accuracy"],
    )
    figure = example.draw({"a start": [0.1, 0.2]}, dead)
    activations, derivatives, norms, accuracies, dead_units = figure.axes
    for ax in (activations, derivatives):
        assert [line.get_label() for line in ax.lines] == example.ACTIVATIONS
    assert norms.lines[0].get_ydata().tolist() == [0.1, 0.2]
    assert accuracies.lines[0].get_ydata().tolist() == [0.9, 0.8]
    assert dead_units.lines[0].get_ydata().tolist() == [0.0, 0.5]
    colors = {line.get_label(): line.get_color() for line in activations.lines}
    assert accuracies.lines[0].get_color() == colors["relu"]
