"""Search 216 small networks on breast cancer, and see how much of a ranking is luck.

One hidden layer of 1, 32 or 64 units, identity or relu; none, 30 % or 60 % of the
inputs dropped while training (N. Srivastava et al., "Dropout: a simple way to prevent
neural networks from overfitting", 2014); mini-batches of 4, 16 or 32; learning rates
from 0.01 to 1. Each network is trained for 25 epochs of plain stochastic gradient
descent on standardised data, with both classes weighing the same.

1. Cross-validation in three folds ranks them all.
2. Ranks that close can come from the order in which the samples were shown. So every
   network is trained ten times more from the same start weights, each time on the same
   samples in another order, and scored on the same validation data: the standard
   deviation is that of the shuffling alone. Among the twelve that did best in cross-
   validation, the best mean of these repetitions is the choice.
3. Two tables show how batch size and input dropout go together: with all else as
   chosen, and averaged over all else.

A fifth of the data takes no part in any of this and is used once, at the end.

A tracked fit takes some hundredths of a second more than one that is not, which is
longer than such a fit itself: of nearly 3000, only the last one is tracked.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import skperceptron
from skperceptron import BackpropMLP

Grid = dict[str, list[Any]]
Rows = tuple[NDArray, NDArray]

GRID: Grid = {
    "activation": ["identity", "relu"],
    "batch_size": [4, 16, 32],
    "hidden_layer_sizes": [(1,), (32,), (64,)],
    "input_dropout": [0.0, 0.3, 0.6],
    "learning_rate_init": [0.01, 0.1, 0.5, 1.0],
}
N_EPOCHS = 25
N_FINALISTS = 12


def make_network(**params: Any) -> Pipeline:
    """Put a scaler before a network that trains for all of its epochs.

    Parameters
    ----------
    **params : dict
        Parameters of the network.

    Returns
    -------
    Pipeline
        Not fitted.
    """
    network = BackpropMLP(
        solver="sgd",
        momentum=0,
        max_iter=N_EPOCHS,
        tol=0,
        n_iter_no_change=N_EPOCHS,
        class_weight="balanced",
        random_state=0,
    )
    return make_pipeline(StandardScaler(), network.set_params(**params))


def score_grid(
    X: NDArray,
    y: NDArray,
    cv: int | Iterable[Rows],
    grid: Grid = GRID,
    n_jobs: int | None = None,
) -> tuple[NDArray, NDArray]:
    """Score every network of a grid on several splits.

    Parameters
    ----------
    X, y : ndarray of shape (n_samples, n_features) and (n_samples,)
        The data.

    cv : int or iterable of pairs of ndarray of int
        Number of folds, or samples to fit to and samples to score on.

    grid : dict of str to list, default=GRID
        Values by the parameter's name, names in alphabetical order.

    n_jobs : int or None, default=None
        Processes.

    Returns
    -------
    mean, std : ndarray
        Mean accuracy and standard deviation over the splits, with an axis per
        parameter; nan where the weights overflowed in any of the splits.
    """
    search = GridSearchCV(
        make_network(),
        {f"backpropmlp__{name}": grid[name] for name in sorted(grid)},
        cv=cv,
        refit=False,
        # An overflow raises ValueError, which shall not end the search.
        error_score=np.nan,
        n_jobs=n_jobs,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.filterwarnings("ignore", "One or more of the test scores")
        results = search.fit(X, y).cv_results_
    # The names come in alphabetical order, the last changes fastest.
    shape = [len(grid[name]) for name in sorted(grid)]
    mean, std = (
        results[name].reshape(shape) for name in ("mean_test_score", "std_test_score")
    )
    return mean, std


def make_repetitions(y: NDArray, n_repetitions: int, seed: int = 0) -> list[Rows]:
    """Set validation data aside, and order the other samples again and again.

    A network with an integer `random_state` starts each time from the same weights, but
    samples in another order come together in other mini-batches.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Labels; both parts have them in the same proportions.

    n_repetitions : int
        Orders.

    seed : int, default=0
        Seed of the split and the orders.

    Returns
    -------
    list of pairs of ndarray of int
        Samples to fit to, the same in each pair but for their order, and a fifth to
        score on, the same in each pair.
    """
    fitted, validation = train_test_split(
        np.arange(len(y)), test_size=0.2, stratify=y, random_state=seed
    )
    rng = np.random.default_rng(seed)
    return [(rng.permutation(fitted), validation) for _ in range(n_repetitions)]


def rank(scores: NDArray) -> list[tuple[int, ...]]:
    """Sort the networks of a grid by their scores, the best first, nan left out.

    Parameters
    ----------
    scores : ndarray
        Scores with an axis per parameter.

    Returns
    -------
    list of tuple of int
        Indices into `scores`.
    """
    order = np.argsort(-scores, axis=None, kind="stable")
    order = order[: np.count_nonzero(~np.isnan(scores))]
    return [tuple(np.unravel_index(i, scores.shape)) for i in order]


def as_params(cell: tuple[int, ...], grid: Grid = GRID) -> dict[str, Any]:
    """Look up the parameters of a network.

    Parameters
    ----------
    cell : tuple of int
        Index into the scores.

    grid : dict of str to list, default=GRID
        Values by the parameter's name.

    Returns
    -------
    dict
    """
    return {name: grid[name][i] for name, i in zip(sorted(grid), cell, strict=True)}


def two_way(
    scores: NDArray,
    names: tuple[str, str],
    held_at: tuple[int, ...] | None = None,
    grid: Grid = GRID,
) -> NDArray:
    """Reduce the scores to a table in two parameters.

    Parameters
    ----------
    scores : ndarray
        Scores with an axis per parameter.

    names : tuple of two str
        Parameters of the table's rows and columns.

    held_at : tuple of int or None, default=None
        Network at whose values the others are held; None averages over them, nan left
        out.

    grid : dict of str to list, default=GRID
        Values by the parameter's name.

    Returns
    -------
    ndarray of shape (n_rows, n_columns)
    """
    axes = [sorted(grid).index(name) for name in names]
    others = [axis for axis in range(scores.ndim) if axis not in axes]
    # Rows and columns first, the parameters that vanish after them.
    ordered = scores.transpose(*axes, *others)
    if held_at is not None:
        return ordered[(..., *(held_at[axis] for axis in others))]
    return np.nanmean(ordered, axis=tuple(range(2, scores.ndim)))


def show_table(title: str, table: NDArray, names: tuple[str, str]) -> None:
    """Print a table in two parameters."""
    rows, columns = (GRID[name] for name in names)
    corner = " \\ ".join(names)
    print(f"\n {title}\n  {corner:26}" + "".join(f"{value:>8}" for value in columns))
    for value, row in zip(rows, table, strict=True):
        print(f"  {value:>26}" + "".join(f"{score:8.3f}" for score in row))


def show_ranking(
    cells: list[tuple[int, ...]], by_folds: NDArray, mean: NDArray, std: NDArray
) -> None:
    """Print networks with their scores in cross-validation and in the repetitions."""
    headings = ("activation", "batch", "hidden", "dropout", "rate")
    print("  " + " ".join(f"{heading:>10}" for heading in headings), end="")
    print(f"{'3 folds':>10}{'repetitions':>18}")
    for cell in cells:
        values = (str(value).strip("(),") for value in as_params(cell).values())
        print("  " + " ".join(f"{value:>10}" for value in values), end="")
        print(f"{by_folds[cell]:10.3f}{mean[cell]:10.3f} ± {std[cell]:.3f}")


def main() -> None:
    """Search, repeat, choose, and use the test data once."""
    X, y = load_breast_cancer(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.2, stratify=y, random_state=0
    )
    with skperceptron.config_context(tracking=False):
        started = time.perf_counter()
        by_folds, _ = score_grid(X, y, cv=3)
        seconds = time.perf_counter() - started
        repetitions = make_repetitions(y, n_repetitions=10)
        mean, std = score_grid(X, y, repetitions, n_jobs=2)

    print(f"1. {by_folds.size} networks, 3-fold cross-validation: {seconds:.1f} s")
    print(f" in one process; best mean accuracy {np.nanmax(by_folds):.4f}")
    print(f" (of {np.isnan(by_folds).sum()} networks, the weights overflowed)")

    finalists = rank(by_folds)[:N_FINALISTS]
    print(f"\n2. the best {N_FINALISTS}, and {len(repetitions)} repetitions of each")
    show_ranking(finalists, by_folds, mean, std)
    best, last = (by_folds[finalists[i]] for i in (0, -1))
    print(
        f" Cross-validation tells first and last of these apart by {best - last:.3f};"
    )
    print(f" shuffling alone moves an accuracy by {np.nanmedian(std):.3f} (standard")
    print(
        f" deviation, median of all), and {len(repetitions[0][1])} validation samples"
    )
    print(" decide by the luck of the draw, which repetitions do not average out.")
    chosen = finalists[np.nanargmax([mean[cell] for cell in finalists])]

    names = ("batch_size", "input_dropout")
    print("\n3. mean accuracy in the repetitions")
    show_table("all else as chosen", two_way(mean, names, chosen), names)
    show_table("averaged over all else", two_way(mean, names), names)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network = make_network(**as_params(chosen)).fit(X, y)
    listed = ", ".join(f"{name}={value}" for name, value in as_params(chosen).items())
    print(f"\nchosen: {listed}")
    accuracy = network.score(X_test, y_test)
    error = np.sqrt(accuracy * (1 - accuracy) / len(y_test))
    print(f"accuracy on the test data, used once: {accuracy:.3f} ± {error:.3f}")
    print(f"this fit is logged to MLflow: run {network[-1].run_id_}")


if __name__ == "__main__":
    main()
