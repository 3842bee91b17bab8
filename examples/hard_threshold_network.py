"""Train a network of hard thresholds, which has no gradient anywhere.

A unit of such a network says 1 or 0; a small step of a weight changes nothing at all,
or everything. Backpropagation cannot train it. Hill climbing needs no slope, only the
objective: here the log loss of the outputs. To predict, the network adds, compares and
takes the largest sum; no exponential is computed.

Breast cancer and digits, standardised, over several splits: the network of thresholds
beside one of logistic units, the same in all else, and the share of the largest class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skperceptron
from skperceptron import HillClimbMLP


def held_out_accuracies(
    X: NDArray, y: NDArray, activation: str, *, seeds: range, max_iter: int = 20_000
) -> NDArray:
    """Fit on several splits.

    Parameters
    ----------
    X, y : ndarray of shape (n_samples, n_features) and (n_samples,)
        The data.

    activation : str
        Activation of the hidden units.

    seeds : range
        One split and one fit for each.

    max_iter : int, default=20_000
        Iterations of a fit.

    Returns
    -------
    ndarray of shape (n_seeds,)
    """
    scores = []
    for seed in seeds:
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, test_size=0.2, stratify=y, random_state=seed
        )
        clf = make_pipeline(
            StandardScaler(),
            # One unit moves at a time, each with a step size of its own that adapts
            # itself; of two climbs the better one is kept.
            HillClimbMLP(
                (100,),
                activation,
                max_iter=max_iter,
                mutation="unit",
                step_schedule="one_fifth",
                n_restarts=1,
                random_state=seed,
            ),
        )
        scores.append(clf.fit(X_train, y_train).score(X_test, y_test))
    return np.array(scores)


def predict_by_hand(clf: HillClimbMLP, X: NDArray) -> NDArray:
    """Predict two classes with additions and comparisons only."""
    fires = X @ clf.coefs_[0] + clf.intercepts_[0] >= 0
    total = fires @ clf.coefs_[1] + clf.intercepts_[1]
    return clf.classes_[(total[:, 0] > 0).astype(int)]


def main() -> None:
    """Compare on both data sets, and log one fit."""
    for name, load in (("breast cancer", load_breast_cancer), ("digits", load_digits)):
        X, y = load(return_X_y=True)
        print(f"\n{name}, held-out accuracy")
        with skperceptron.config_context(tracking=False):
            for activation in ("step", "logistic"):
                scores = held_out_accuracies(X, y, activation, seeds=range(3))
                error = scores.std(ddof=1) / np.sqrt(len(scores))
                print(f"  {activation:14} {scores.mean():.3f} ± {error:.3f}")
        print(f"  largest class  {np.bincount(y).max() / len(y):.3f}")
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    clf = HillClimbMLP(activation="step", random_state=0).fit(X, y)
    same = np.array_equal(predict_by_hand(clf, X), clf.predict(X))
    print(f"\nadditions and comparisons predict the same: {same}")
    print(f"this fit is logged to MLflow: run {clf.run_id_}")


if __name__ == "__main__":
    main()
