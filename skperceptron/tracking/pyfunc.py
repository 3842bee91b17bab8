"""The loader of our models for MLflow's ``pyfunc`` flavor, with which it serves models.

MLflow's own loader of scikit-learn models calls one method only, which is chosen when
the model is saved. With this one, each call chooses between labels, probabilities and
scores. Every logged model names this module: it must stay where it is.
"""

from __future__ import annotations

from typing import Any

# The parameter by which a call chooses the method, and its values.
METHOD_PARAM = "predict_method"
METHODS = ("predict", "predict_proba", "decision_function")


class ServedEstimator:
    """A fitted estimator, or a pipeline that ends with one, as MLflow serves it."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def get_raw_model(self) -> Any:
        """Return the estimator itself, for MLflow's ``PyFuncModel.get_raw_model``."""
        return self._estimator

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """Predict with the method that `params` chooses.

        Parameters
        ----------
        data : array-like or dataframe of shape (n_samples, n_features)
            The samples.

        params : dict or None, default=None
            ``{"predict_method": name}`` with the name of the method to call:
            ``"predict"``, which is the default, ``"predict_proba"`` or
            ``"decision_function"``.

        Returns
        -------
        ndarray
            The result of the method. Columns of a classifier's scores are in the order
            of ``classes_``.

        Raises
        ------
        mlflow.exceptions.MlflowException
            When the estimator has no such method. A server answers with status 400.
        """
        method = (params or {}).get(METHOD_PARAM, METHODS[0])
        allowed = methods_of(self._estimator)
        if method not in allowed:
            from mlflow.exceptions import MlflowException

            raise MlflowException.invalid_parameter_value(
                f"{METHOD_PARAM} must be one of {allowed}, which is what a "
                f"{type(self._estimator).__name__} has, got {method!r}."
            )
        return getattr(self._estimator, method)(data)


def methods_of(estimator: Any) -> list[str]:
    """List those of `METHODS` that a fitted estimator has."""
    return [name for name in METHODS if hasattr(estimator, name)]


def _load_pyfunc(path: str) -> ServedEstimator:
    """Load the model in a folder. MLflow calls this."""
    import mlflow.sklearn

    return ServedEstimator(mlflow.sklearn.load_model(path))
