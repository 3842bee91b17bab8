"""The part of the training data that early stopping holds out."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from skperceptron.classifiers._training_data import TrainingData


def hold_out(
    data: TrainingData,
    fraction: float,
    random_state: np.random.RandomState,
    stratify: NDArray | None,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Divide samples into those to train on and those to validate on.

    Parameters
    ----------
    data : TrainingData
        The samples.

    fraction : float
        Share that is held out.

    random_state : RandomState
        Source of the choice.

    stratify : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        Classes of which both parts get the same shares.

    Returns
    -------
    training, validation : ndarray of int
        Rows of the two parts.

    Raises
    ------
    ValueError
        When there are too few samples, or one of the parts has no weight.
    """
    rows = np.arange(len(data.y_true))
    training, validation = train_test_split(
        rows, random_state=random_state, test_size=fraction, stratify=stratify
    )
    weight = data.sample_weight
    for name, part in ("training", training), ("validation", validation):
        if weight is not None and not weight[part].any():
            raise ValueError(
                f"With early stopping, all samples of the {name} part have weight 0. "
                "Give more samples a positive weight, change validation_fraction, or "
                "leave out early_stopping."
            )
    return training, validation


def check_classes(labels: NDArray, fraction: float) -> None:
    """Refuse labels of which no part of each class can be in both parts.

    scikit-learn refuses them, too, but knows the classes by their codes only.

    Parameters
    ----------
    labels : ndarray of shape (n_samples,)
        Class labels.

    fraction : float
        Share that is held out.

    Raises
    ------
    ValueError
        When a class has too few samples, or a part has.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise ValueError(
            "Early stopping validates with some samples of each class, so that each "
            f"needs at least 2, but only one has the label "
            f"{classes.tolist()[counts.argmin()]!r}. Add samples of this class, leave "
            "it out, or leave out early_stopping."
        )
    n_validation = math.ceil(fraction * len(labels))
    if min(n_validation, len(labels) - n_validation) < len(classes):
        raise ValueError(
            f"With validation_fraction={fraction!r}, {n_validation} of {len(labels)} "
            f"samples are held out for validation, but both parts need at least as "
            f"many samples as there are classes, {len(classes)}. Change "
            "validation_fraction, or leave out early_stopping."
        )
