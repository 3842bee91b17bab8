"""The climbers' defaults, and others that were tried, by cross-validation.

Prints the mean accuracy and log loss of stratified 5-fold cross-validation and the
median seconds of a fit, for each data set and candidate, beside scikit-learn's
classifiers with their defaults; then how each candidate compares with the first of them
over all sets. No held-out test set is used. Everything runs on one core.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from benchmarks._data_sets import data_sets, preprocessing
from skperceptron import HillClimbMLP, HillClimbPerceptron

TEXTBOOK = {
    "max_iter": 1000,
    "objective": "accuracy",
    "mutation": "all",
    "step_schedule": "constant",
    "init": "uniform",
}
AVERAGE = {"n_restarts": 4, "combine": "average"}


def untested(y_true, y_pred):
    """Compute the accuracy, as a function of which gains are not tested."""
    return np.mean(y_true == y_pred)


PERCEPTRONS = {
    "LogisticRegression()": LogisticRegression(),
    "Perceptron()": Perceptron(),
    "HillClimbPerceptron()": HillClimbPerceptron(),
    "textbook": HillClimbPerceptron(step_size=0.05, **TEXTBOOK),
    "surrogate_iter=0": HillClimbPerceptron(surrogate_iter=0, step_schedule="constant"),
    "gains not tested": HillClimbPerceptron(objective=untested),
    "5 averaged": HillClimbPerceptron(**AVERAGE),
    "5 averaged, gains not tested": HillClimbPerceptron(objective=untested, **AVERAGE),
    "log loss alone": HillClimbPerceptron(max_iter=45),
    "alpha=0": HillClimbPerceptron(alpha=0.0),
    "alpha=3": HillClimbPerceptron(alpha=3.0),
}
MLPS = {
    "MLPClassifier()": MLPClassifier(),
    "HillClimbMLP()": HillClimbMLP(),
    "textbook": HillClimbMLP((10,), "logistic", step_size=0.1, **TEXTBOOK),
    "activation='logistic'": HillClimbMLP(activation="logistic"),
    "noise_sign='random'": HillClimbMLP(noise_sign="random"),
    "alpha=0": HillClimbMLP(alpha=0.0),
    "alpha=1": HillClimbMLP(alpha=1.0),
    "alpha=10": HillClimbMLP(alpha=10.0),
    "max_iter=10000": HillClimbMLP(max_iter=10_000),
    "5 of (30,) averaged": HillClimbMLP((30,), max_iter=5000, **AVERAGE),
}
MARGIN = 0.005


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    for title, candidates in {"perceptrons": PERCEPTRONS, "MLPs": MLPS}.items():
        results = {name: [] for name in candidates}
        for data_name, (X, y) in data_sets().items():
            print(f"\n{title}, {data_name}")
            for name, classifier in candidates.items():
                result = validate(classifier, X, y)
                results[name].append(result)
                accuracy, loss, seconds = result
                print(
                    f"{name:32} {accuracy:.4f} {loss:7.3f} {seconds:8.3f} s", flush=True
                )
        peer, *others = candidates
        print(f"\n{title}, all {len(results[peer])} sets, against {peer}")
        for name in others:
            print(f"{name:32} {comparison(results[name], results[peer])}", flush=True)


def validate(classifier, X, y):
    """Compute the mean accuracy and log loss, and the median seconds of a fit."""
    scoring = ["accuracy"]
    if hasattr(classifier, "predict_proba"):
        scoring.append("neg_log_loss")
    if "random_state" in classifier.get_params():
        classifier.set_params(random_state=0)
    with threadpool_limits(1):
        result = cross_validate(
            make_pipeline(preprocessing(), classifier),
            X,
            y,
            cv=StratifiedKFold(5, shuffle=True, random_state=0),
            scoring=scoring,
        )
    loss = -np.mean(result.get("test_neg_log_loss", np.nan))
    return np.mean(result["test_accuracy"]), loss, np.median(result["fit_time"])


def comparison(results, of_peer):
    """Compare a candidate with a peer over all data sets."""
    accuracy, loss, seconds = np.transpose(results)
    peer_accuracy, peer_loss, peer_seconds = np.transpose(of_peer)
    difference = accuracy - peer_accuracy
    text = (
        f"{np.mean(difference > MARGIN):4.0%} better, "
        f"{np.mean(abs(difference) <= MARGIN):4.0%} within {MARGIN}, "
        f"mean {difference.mean():+.4f}, worst {difference.min():+.3f}, "
        f"time x {np.exp(np.log(seconds / peer_seconds).mean()):.2f}"
    )
    if np.isfinite(loss).all():
        text += f", log loss x {loss.mean() / peer_loss.mean():.2f}"
    return text
