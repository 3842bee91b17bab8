"""What MLflow makes of our models where it knows no scikit-learn: when it serves them.

MLflow's own loader of scikit-learn models can do one thing only, predict labels or
predict probabilities, whichever was chosen when the model was saved. This one does what
each call asks for. Every logged model names this module: it must stay where it is.
"""

from __future__ import annotations

from typing import Any

# What a call may ask for, by this parameter.
METHOD_PARAM = "predict_method"
METHODS = ("predict", "predict_proba", "decision_function")


class ServedEstimator:
    """A fitted estimator, or a pipeline that ends with one, as MLflow serves it.

    Parameters
    ----------
    estimator : estimator
        What was logged.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def get_raw_model(self) -> Any:
        """Return the estimator itself, for MLflow's ``PyFuncModel.get_raw_model``."""
        return self._estimator

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """Predict labels or numbers, or what else is asked for.

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
            What the method returns. Columns of a classifier's scores follow its
            ``classes_``.

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
    """List what a fitted estimator can be asked for, of `METHODS`."""
    return [name for name in METHODS if hasattr(estimator, name)]


def _load_pyfunc(path: str) -> ServedEstimator:
    """Load the model of a folder; it is MLflow that calls this."""
    import mlflow.sklearn

    return ServedEstimator(mlflow.sklearn.load_model(path))
