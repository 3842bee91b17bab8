"""Data sets with numbers to be predicted, all of them in scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn import datasets

Data = tuple[np.ndarray, np.ndarray]


def data_sets() -> dict[str, Data]:
    """Make or load the data sets, by their names.

    Where there are no numbers to predict, a feature is, or a class.
    """
    iris, _ = datasets.load_iris(return_X_y=True)
    wine, cultivar = datasets.load_wine(return_X_y=True)
    cancer, benign = datasets.load_breast_cancer(return_X_y=True)
    images, digit = datasets.load_digits(return_X_y=True)
    linear = {"noise": 50, "random_state": 1}
    return {
        "diabetes": datasets.load_diabetes(return_X_y=True),
        "friedman1": datasets.make_friedman1(500, noise=1, random_state=1),
        "friedman1, few": datasets.make_friedman1(150, noise=1, random_state=2),
        "friedman2": datasets.make_friedman2(500, noise=125, random_state=1),
        "friedman3": datasets.make_friedman3(500, noise=0.1, random_state=1),
        "linear": datasets.make_regression(300, 20, **linear),
        "linear, 3 outputs": datasets.make_regression(300, 20, n_targets=3, **linear),
        "linnerud": datasets.load_linnerud(return_X_y=True),
        "iris, petal width": (iris[:, :3], iris[:, 3]),
        "wine, alcohol": (wine[:, 1:], wine[:, 0]),
        "wine, cultivar": (wine, cultivar.astype(float)),
        "cancer, smoothness": (cancer[:, 5:], cancer[:, 4]),
        "cancer, benign": (cancer, benign.astype(float)),
        "digits": (images[:600], digit[:600].astype(float)),
    }
