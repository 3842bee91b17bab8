"""Learning rate against L2 penalty.

A network with 50 logistic units learns 1797 handwritten digits of 8 x 8 pixels, by 100
epochs of plain stochastic gradient descent in mini-batches of 100, from N(0, 1) start
weights. The grid has 7 learning rates eta and 7 strengths lambda of the penalty, each
from 0.00001 to 10. The figure maps the accuracy on the training and on the test data.
In hatched cells, the weights overflowed. The lower row has two hidden layers of 100 and
50 units.

**Units.** Textbook code often steps against the *sum* of the gradients of a mini-batch,

    W -= eta * (sum of the gradients + lambda * W),

while `BackpropMLP`, like `MLPClassifier`, divides by the size b of the mini-batch,

    W -= learning_rate_init * (sum of the gradients + alpha * W) / b.

The two agree for ``learning_rate_init = eta * b`` and ``alpha = lambda``, which are
what the axes of the figure show. (The last mini-batch of an epoch is smaller, but here
moves the weights as far as the others do.) In contrast, one step per epoch against the
mean gradient of all data teaches the network next to nothing, as the last line of the
output shows.

**Which cell to take.** The accuracy of the best of 49 cells of the test map is too
optimistic, because the test data have chosen the cell. So a fifth of the training data
is set aside to choose a cell (framed in red), which is then fitted to all training
data: the test data have no part in that choice. With 360 test digits, the standard
error of an accuracy of 0.98 is about 0.007. Therefore there are five splits.

Every grid is a search in MLflow, with a run for each of its cells.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import mlflow
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.model_selection import GridSearchCV, train_test_split

from skperceptron import BackpropMLP
from skperceptron.plotting import SearchHeatmapDisplay
from skperceptron.tracking import MLflowTracker

FIGURE = Path(__file__).with_name("figures") / "digits_learning_rate_grid.png"
DECADES = 10.0 ** np.arange(-5, 2)
BATCH_SIZE = 100
N_EPOCHS = 100


def load_centred_digits():
    """Load the digits, with pixels from -0.5 to 0.5 in place of 0 to 16."""
    X, y = load_digits(return_X_y=True)
    return X / 16 - 0.5, y


def make_classifier(eta=1.0, strength=0.0, hidden_layer_sizes=(50,)) -> BackpropMLP:
    """Translate a learning rate and a penalty for summed gradients."""
    return BackpropMLP(
        hidden_layer_sizes,
        "logistic",
        solver="sgd",
        momentum=0,
        learning_rate_init=eta * BATCH_SIZE,
        alpha=strength,
        batch_size=BATCH_SIZE,
        max_iter=N_EPOCHS,
        # Train for all of the epochs.
        tol=0,
        n_iter_no_change=N_EPOCHS,
        init="normal",
        random_state=0,
    )


def split_rows(y, seed):
    """Set a fifth aside as test data, and of the rest a fifth as validation data."""
    training, test = train_test_split(
        np.arange(len(y)), test_size=0.2, stratify=y, random_state=seed
    )
    fitted, validation = train_test_split(
        training, test_size=0.2, stratify=y[training], random_state=seed
    )
    return training, test, fitted, validation


def map_grid(
    X,
    y,
    fitted,
    others,
    name,
    hidden_layer_sizes=(50,),
    etas=DECADES,
    strengths=DECADES,
) -> GridSearchCV:
    """Fit each cell of the grid to some samples and score it on them and on others."""
    search = GridSearchCV(
        make_classifier(hidden_layer_sizes=hidden_layer_sizes),
        {"alpha": strengths, "learning_rate_init": np.asarray(etas) * BATCH_SIZE},
        cv=[(fitted, others)],
        refit=False,
        # An overflow raises ValueError, which must not end the search.
        error_score=np.nan,
        return_train_score=True,
        n_jobs=2,
    )
    # With one fold only, the run of a candidate says all there is to say.
    search.set_callbacks(MLflowTracker(run_name=name, log_folds=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.filterwarnings("ignore", "One or more of the (test|train) scores")
        return search.fit(X, y)


def choose_and_judge(X, y, seed, name="", **grid):
    """Choose a cell by validation data, and map the grid on the test data.

    Returns
    -------
    chosen : dict
        Parameters of the cell.

    honest : float
        Its test accuracy, fitted to all training data.

    test_map : GridSearchCV
        Its best score is the optimistic one.
    """
    name = f"{name}split {seed}"
    training, test, fitted, validation = split_rows(y, seed)
    choice = map_grid(X, y, fitted, validation, f"{name}, choice", **grid)
    test_map = map_grid(X, y, training, test, f"{name}, test map", **grid)
    chosen = choice.best_params_
    cell = test_map.cv_results_["params"].index(chosen)
    return chosen, test_map.cv_results_["mean_test_score"][cell], test_map


def full_batch_accuracy(X, y, seed) -> float:
    """Score 100 epochs of one small step each: the mean gradient of all samples."""
    training, test, *_ = split_rows(y, seed)
    clf = make_classifier(strength=0.01)
    clf.set_params(batch_size=len(training), learning_rate_init=0.01)
    clf.set_callbacks(MLflowTracker(run_name="one step per epoch"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf.fit(X[training], y[training])
    return clf.score(X[test], y[test])


def draw(maps: dict[str, tuple[dict, GridSearchCV]]) -> Figure:
    """Draw training and test map of each network, with the cell that was chosen."""
    figure = Figure(figsize=(11, 4.5 * len(maps)), layout="constrained")
    rows = figure.subplots(len(maps), 2, squeeze=False)
    for panels, (name, (chosen, search)) in zip(rows, maps.items(), strict=True):
        display = SearchHeatmapDisplay.from_search(
            search, x="alpha", y="learning_rate_init", split="both", ax=panels
        )
        place = [
            axis.values.index(chosen[axis.name]) for axis in (display.x, display.y)
        ]
        for ax, part in zip(panels, ("training", "test"), strict=True):
            corner = np.array(place) - 0.5
            ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="red", lw=3))
            ax.set(title=f"{name}, {part} data")
    frame = Patch(
        fill=False, edgecolor="red", lw=3, label="chosen by the validation data"
    )
    figure.legend(handles=[frame], loc="outside upper right")
    return figure


def main() -> None:
    X, y = load_centred_digits()
    mlflow.set_experiment(Path(__file__).stem)
    with mlflow.start_run(run_name="learning rate and penalty"):
        splits = [choose_and_judge(X, y, seed) for seed in range(5)]
        deep = choose_and_judge(
            X, y, 0, "two hidden layers, ", hidden_layer_sizes=(100, 50)
        )
        full_batch = full_batch_accuracy(X, y, seed=0)
        maps = {"64-50-10": splits[0], "64-100-50-10": deep}
        FIGURE.parent.mkdir(exist_ok=True)
        draw({name: (m[0], m[2]) for name, m in maps.items()}).savefig(FIGURE)
        mlflow.log_artifact(FIGURE)

    best = np.array([test_map.best_score_ for *_, test_map in splits])
    honest = np.array([accuracy for _, accuracy, _ in splits])
    print("Test accuracy of 64-50-10 on each of five splits:")
    print(f"  best cell of the test map     {best.round(3)}  mean {best.mean():.3f}")
    print(
        f"  chosen by the validation data {honest.round(3)}  mean {honest.mean():.3f}"
    )
    print("64-100-50-10, first split:")
    print(f"  best cell {deep[2].best_score_:.3f}, chosen {deep[1]:.3f}")
    print("64-50-10, one step per epoch, learning rate and penalty 0.01:")
    print(f"  {full_batch:.3f} (chance: 0.1)")
    print(f"\nFigure: {FIGURE}")
    store = mlflow.get_tracking_uri()
    print(f"Runs: {sys.executable} -m mlflow ui --backend-store-uri {store}")


if __name__ == "__main__":
    main()
