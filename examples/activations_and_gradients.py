"""Vanishing and exploding gradients.

What activations and start weights do to the gradients of a deep network:

1. Activations and their derivatives. That of the logistic function is at most 1/4, that
   of relu 0 for half of all sums, that of the step function 0 wherever there is one:
   a network of steps is for hill climbing (see `hard_threshold_network.py`).
2. A gradient is multiplied by weights and derivatives at each layer on its way back. In
   six hidden layers it vanishes or explodes unless the start weights fit the activation
   (X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward
   neural networks", 2010). `grad_norms_` of a fit shows it, for each layer and epoch.
   Clipping it (`max_grad_norm`) keeps the weights finite, but is no cure.
3. With too large a learning rate, the sum of a relu unit becomes negative for every
   sample: its derivative is 0 from then on, and the unit is dead. leaky_relu, whose
   derivative is never 0, goes on learning.

All of this is about training, so only training data are looked at: all of the digits.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from skperceptron import BackpropMLP
from skperceptron.plotting import ActivationDisplay
from skperceptron.tracking import MLflowTracker

FIGURE = Path(__file__).with_name("figures") / "activations_and_gradients.png"
ACTIVATIONS = ["logistic", "tanh", "step", "relu", "leaky_relu", "elu"]
STARTS = [
    # activation, start weights, largest norm of the gradient
    ("logistic", "glorot_normal", None),
    ("tanh", "glorot_normal", None),
    ("relu", "glorot_normal", None),
    ("relu", "he_normal", None),
    ("relu", "normal", None),
    ("relu", "normal", 1.0),
]
LEARNING_RATES = [0.1, 0.3, 1.0, 3.0]
# How the start weights are drawn; colours stand for activations.
STYLES = {"he_normal": "s--", "normal, clipped": "^:"}


def load_centred_digits():
    """Load the digits, with pixels from -0.5 to 0.5 in place of 0 to 16."""
    X, y = load_digits(return_X_y=True)
    return X / 16 - 0.5, y


def make_classifier(run_name, **params) -> BackpropMLP:
    """Make a network that is trained by plain gradient descent, its fit a named run."""
    clf = BackpropMLP(solver="sgd", momentum=0, batch_size=100, random_state=0)
    return clf.set_params(**params).set_callbacks(MLflowTracker(run_name=run_name))


def gradients_by_layer(X, y, starts=STARTS, n_hidden=6) -> dict[str, list[float]]:
    """Measure each layer's gradient in the first epoch; none where weights overflow."""
    norms = {}
    for activation, init, max_grad_norm in starts:
        name = f"{activation}, {init}" + (", clipped" if max_grad_norm else "")
        clf = make_classifier(
            name,
            activation=activation,
            init=init,
            max_grad_norm=max_grad_norm,
            hidden_layer_sizes=(30,) * n_hidden,
            learning_rate_init=0.01,
            max_iter=1,
        )
        try:
            norms[name] = list(clf.fit(X, y).grad_norms_[0])
        except ValueError as error:  # the weights have overflowed
            print(f"{name}: {error}")
    return norms


def count_dead(
    X, y, activations=("relu", "leaky_relu"), learning_rates=LEARNING_RATES
) -> pd.DataFrame:
    """Count the hidden units whose sum is negative for every training sample."""
    rows = []
    for activation in activations:
        for rate in learning_rates:
            clf = make_classifier(
                f"{activation}, learning rate {rate:g}",
                activation=activation,
                init="he_normal",
                learning_rate_init=rate,
                max_iter=50,
            ).fit(X, y)
            sums = X @ clf.coefs_[0] + clf.intercepts_[0]
            never_positive = (sums <= 0).all(axis=0).mean()
            rows.append((activation, rate, never_positive, clf.score(X, y)))
    columns = ["activation", "learning rate", "never positive", "training accuracy"]
    return pd.DataFrame(rows, columns=columns)


def draw(norms: dict[str, list[float]], dead: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    top, bottom = figure.subfigures(2, 1)
    left, right = top.subplots(1, 2)
    left.set(title="Activations", ylim=(-1.2, 2.2))
    right.set(title="Derivatives")
    for ax, derivative in ((left, False), (right, True)):
        display = ActivationDisplay.from_names(
            ACTIVATIONS, derivative=derivative, ax=ax
        )
        # Where curves coincide, each leaves an edge of the one before it visible.
        for line, width in zip(display.lines_, (6, 5, 4, 3, 2, 1), strict=True):
            line.set_linewidth(width)
        display.ax_.get_legend().remove()
    top.legend(handles=display.lines_, loc="outside right upper")

    colors = {line.get_label(): line.get_color() for line in display.lines_}
    left, middle, right = bottom.subplots(1, 3)
    for name, by_layer in norms.items():
        activation, *start = name.split(", ")
        left.semilogy(
            range(1, len(by_layer) + 1),
            by_layer,
            STYLES.get(", ".join(start), "o-"),
            color=colors.get(activation, "k"),
            label=name,
        )
    left.set(
        title="Gradient by layer, first epoch",
        xlabel="layer",
        ylabel="norm of the gradient",
    )
    handles, labels = left.get_legend_handles_labels()
    bottom.legend(handles, labels, loc="outside lower left", ncols=5, fontsize="small")
    for ax, column in ((middle, "training accuracy"), (right, "never positive")):
        for activation, rows in dead.groupby("activation", sort=False):
            ax.semilogx(
                rows["learning rate"],
                rows[column],
                "o-",
                color=colors[activation],
                label=activation,
            )
        ax.set(xlabel="learning rate", ylim=(-0.05, 1.05))
    middle.set(title="Accuracy after 50 epochs", ylabel="training accuracy")
    right.set(title="Dead units after 50 epochs", ylabel="share that is never positive")
    handles, labels = right.get_legend_handles_labels()
    bottom.legend(handles, labels, loc="outside right upper")
    return figure


def main() -> None:
    # The fits are short on purpose.
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y = load_centred_digits()
    mlflow.set_experiment(Path(__file__).stem)
    with mlflow.start_run(run_name="activations and gradients"):
        norms = gradients_by_layer(X, y)
        dead = count_dead(X, y)
        FIGURE.parent.mkdir(exist_ok=True)
        draw(norms, dead).savefig(FIGURE)
        mlflow.log_artifact(FIGURE)

    print("\nNorm of the gradient by layer, six hidden layers, first epoch:")
    print(pd.DataFrame(norms, index=range(1, 8)).T.map("{:.2g}".format).to_string())
    print("\n100 hidden units after 50 epochs:")
    print(dead.round(3).to_string(index=False))
    print(f"\nFigure: {FIGURE}")
    store = mlflow.get_tracking_uri()
    print(f"Runs: {sys.executable} -m mlflow ui --backend-store-uri {store}")


if __name__ == "__main__":
    main()
