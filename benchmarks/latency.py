"""The probabilities of one row, as a server asks for them.

Ours against scikit-learn's MLPClassifier with the same weights, and against what ONNX
makes of ours, run by onnxruntime.
"""

from __future__ import annotations

import warnings

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import skperceptron.onnx  # noqa: F401 registers the converters
from benchmarks._timing import compare, show
from skperceptron import BackpropMLP

# The ratio aimed at.
AIM = 2
N_CALLS = 1000


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    show(
        f"{N_CALLS} calls of predict_proba for one row",
        [
            comparison
            for load in (load_breast_cancer, load_digits)
            for comparison in of_one_row(*load(return_X_y=True))
        ],
    )


def of_one_row(X, y):
    params = {"max_iter": 5, "random_state": 0}
    ours, theirs = BackpropMLP(**params).fit(X, y), MLPClassifier(**params).fit(X, y)
    row = X[:1]
    model = to_onnx(ours, row, options={"zipmap": False})
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = session.run(None, {"X": row})[1]
    for other in (theirs.predict_proba(row), found):
        np.testing.assert_allclose(other, ours.predict_proba(row), atol=1e-6)
    work = f"{X.shape[1]} features, 100 units, {y.max() + 1} classes"
    mine = repeated(lambda: ours.predict_proba(row))
    their = repeated(lambda: theirs.predict_proba(row))
    yield compare(work, "MLPClassifier", mine, their, at_least=AIM)
    onnx = repeated(lambda: session.run(None, {"X": row}))
    yield compare(work, "onnxruntime", mine, onnx)


def repeated(call):
    def calls() -> None:
        for _ in range(N_CALLS):
            call()

    return calls


if __name__ == "__main__":
    main()
