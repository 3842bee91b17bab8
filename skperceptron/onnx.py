"""Converters to ONNX, for skl2onnx.

The import registers them. Then skl2onnx converts our estimators, alone and in
pipelines, as it converts those of scikit-learn:

>>> import numpy as np
>>> import skperceptron
>>> import skperceptron.onnx
>>> from skl2onnx import to_onnx
>>> from sklearn.datasets import load_iris
>>> X, y = load_iris(return_X_y=True)
>>> with skperceptron.config_context(tracking=False):
...     clf = skperceptron.BackpropMLP(tol=0.01, random_state=0).fit(X, y)
>>> onnx = to_onnx(clf, X[:1], options={"zipmap": False})
>>> [output.name for output in onnx.graph.output]
['label', 'probabilities']

The network is computed in the precision of its weights, as `predict` does, and the
probabilities are given in that of the input. `HillClimbPerceptron` has no
probabilities: its second output is that of `decision_function`, for two classes with
its negative in front. Labels are numbers, which become integers, or strings.

skl2onnx is in the extra `onnx`, as in ``pip install -e ".[onnx]"``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import (
    Int64TensorType,
    StringTensorType,
    guess_proto_type,
)
from skl2onnx.proto import onnx_proto
from sklearn.utils.validation import check_is_fitted

from skperceptron.classifiers import (
    BackpropMLP,
    BackpropMLPRegressor,
    HillClimbMLP,
    HillClimbMLPRegressor,
    HillClimbPerceptron,
)
from skperceptron.network import ACTIVATIONS
from skperceptron.network._activations import ELU_ALPHA, LEAKY_RELU_SLOPE

_TYPES = {
    np.dtype(np.float32): onnx_proto.TensorProto.FLOAT,
    np.dtype(np.float64): onnx_proto.TensorProto.DOUBLE,
    np.dtype(np.int64): onnx_proto.TensorProto.INT64,
    np.dtype(object): onnx_proto.TensorProto.STRING,
}
_FLOAT, _INT = onnx_proto.TensorProto.FLOAT, onnx_proto.TensorProto.INT64


class _Graph:
    """The nodes of one estimator, which are added one after the other.

    Parameters
    ----------
    scope, container
        What skl2onnx hands to a converter.

    dtype : dtype
        That of the computation.
    """

    def __init__(self, scope: Any, container: Any, dtype: np.dtype[Any]) -> None:
        self.scope = scope
        self.container = container
        self.dtype = dtype

    def add(
        self, kind: str, *inputs: str, output: str | None = None, **attributes: Any
    ) -> str:
        """Add a node; give back the name of what it computes."""
        output = output or self.scope.get_unique_variable_name(kind.lower())
        name = self.scope.get_unique_operator_name(kind)
        self.container.add_node(kind, [*inputs], output, name=name, **attributes)
        return output

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Add an array that is known; give back its name."""
        array: NDArray[Any] = np.asarray(value, dtype=dtype or self.dtype)
        name: str = self.scope.get_unique_variable_name("constant")
        values: Any = array.ravel()
        if array.dtype == object:
            values = [label.encode() for label in values]
        self.container.add_initializer(
            name, _TYPES[array.dtype], list(array.shape), values
        )
        return name

    def cast(self, x: str, to: int, output: str | None = None) -> str:
        return self.add("Cast", x, output=output, to=to)


def _elu(g: _Graph, z: str) -> str:
    below = g.add("Exp", g.add("Min", z, g.constant(0)))
    below = g.add("Mul", g.add("Sub", below, g.constant(1)), g.constant(ELU_ALPHA))
    return g.add("Where", g.add("Greater", z, g.constant(0)), z, below)


def _gelu(g: _Graph, z: str) -> str:
    # There is no error function in double precision.
    scaled = g.cast(g.add("Mul", z, g.constant(np.sqrt(0.5))), _FLOAT)
    erf = g.cast(g.add("Erf", scaled), _TYPES[g.dtype])
    cdf = g.add("Mul", g.add("Add", erf, g.constant(1)), g.constant(0.5))
    return g.add("Mul", z, cdf)


def _leaky_relu(g: _Graph, z: str) -> str:
    return g.add("Max", z, g.add("Mul", z, g.constant(LEAKY_RELU_SLOPE)))


def _softplus(g: _Graph, z: str) -> str:
    # log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)), which does not overflow.
    small = g.add("Exp", g.add("Neg", g.add("Abs", z)))
    log = g.add("Log", g.add("Add", small, g.constant(1)))
    return g.add("Add", g.add("Max", z, g.constant(0)), log)


def _silu(g: _Graph, z: str) -> str:
    # Not z times its sigmoid: some releases of onnxruntime make one operator of the
    # two, and then have no implementation of it.
    return g.add("Div", z, g.add("Add", g.add("Exp", g.add("Neg", z)), g.constant(1)))


def _step(g: _Graph, z: str) -> str:
    return g.cast(g.add("GreaterOrEqual", z, g.constant(0)), _TYPES[g.dtype])


_ACTIVATIONS: dict[str, Callable[[_Graph, str], str]] = {
    "identity": lambda g, z: z,
    "logistic": lambda g, z: g.add("Sigmoid", z),
    "tanh": lambda g, z: g.add("Tanh", z),
    "relu": lambda g, z: g.add("Relu", z),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "softplus": _softplus,
    "silu": _silu,
    "gelu": _gelu,
    "step": _step,
    "sign": lambda g, z: g.add("Sign", z),
    "softmax": lambda g, z: g.add("Softmax", z, axis=1),
    "exp": lambda g, z: g.add("Exp", z),
}


def _add_sums(g: _Graph, x: str, network: Any) -> str:
    """Compute the sums of the output units."""
    activations = network._layers.activations
    for activation in activations:
        if callable(activation):
            name = getattr(activation, "__name__", repr(activation))
            raise ValueError(
                f"The activation {name!r} is a function, which ONNX does not know. "
                f"Train with one that has a name: {', '.join(ACTIVATIONS)}."
            )
    z = g.cast(x, _TYPES[g.dtype])
    coefs, intercepts = network._get_weights()
    for i, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        z = g.add("Add", g.add("MatMul", z, g.constant(coef)), g.constant(intercept))
        if i < len(activations):
            z = _ACTIVATIONS[activations[i]](g, z)
    return z


def _labels(classifier: Any) -> NDArray[Any]:
    """Turn the classes into what ONNX knows: integers or strings."""
    classes = classifier.classes_
    if classes.dtype.kind in "biuf":  # floats that are labels are whole numbers
        return np.asarray(classes, dtype=np.int64)
    if all(isinstance(label, str) for label in classes.tolist()):
        return np.asarray(classes, dtype=object)
    raise ValueError(
        "ONNX knows integers and strings as labels, but classes_ has "
        f"{classes.tolist()[0]!r} of dtype {classes.dtype}. Train with labels of these "
        "kinds, such as y.astype(str)."
    )


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    classifier = operator.raw_operator
    g = _Graph(scope, container, classifier._get_weights()[0][0].dtype)
    z = _add_sums(g, operator.inputs[0].full_name, classifier)
    label, second = (output.full_name for output in operator.outputs)
    output_type = guess_proto_type(operator.outputs[1].type)
    is_perceptron = isinstance(classifier, HillClimbPerceptron)
    out_activation = "identity" if is_perceptron else classifier.out_activation_
    found = _ACTIVATIONS[out_activation](g, z)
    positive = g.add("GreaterOrEqual" if is_perceptron else "Greater", z, g.constant(0))
    if classifier._is_multilabel:
        g.cast(positive, _INT, output=label)
        g.cast(found, output_type, output=second)
        return
    if len(classifier.classes_) > 2:
        index = g.add("ArgMax", z, axis=1, keepdims=0)
    else:
        index = g.add("Reshape", g.cast(positive, _INT), g.constant([-1], np.int64))
        other = g.add("Neg", found)
        if not is_perceptron:
            other = g.add("Sub", g.constant(1), found)
        found = g.add("Concat", other, found, axis=1)
    g.cast(found, output_type, output=second)
    labels = _labels(classifier)
    g.add("Gather", g.constant(labels, labels.dtype), index, output=label, axis=0)


def _shape_classifier(operator: Any) -> None:
    check_is_fitted(classifier := operator.raw_operator)
    n_rows = operator.inputs[0].get_first_dimension()
    n_classes = len(classifier.classes_)
    if n_classes < 2:
        raise ValueError(
            "A classifier of a single class is not converted to ONNX: it gives "
            f"{classifier.classes_[0]!r} for every sample."
        )
    shape = [n_rows, n_classes] if classifier._is_multilabel else [n_rows]
    is_number = _labels(classifier).dtype != object
    label_type = Int64TensorType if is_number else StringTensorType
    operator.outputs[0].set_type(label_type(shape))
    operator.outputs[1].type.shape = [n_rows, n_classes]


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    regressor = operator.raw_operator
    g = _Graph(scope, container, regressor._get_weights()[0][0].dtype)
    z = _add_sums(g, operator.inputs[0].full_name, regressor)
    found = _ACTIVATIONS[regressor.out_activation_](g, z)
    if isinstance(regressor, HillClimbMLPRegressor):
        found = g.add("Mul", found, g.constant(regressor.target_scale_))
        found = g.add("Add", found, g.constant(regressor.target_mean_))
    (output,) = operator.outputs
    g.cast(found, guess_proto_type(output.type), output=output.full_name)


def _shape_regressor(operator: Any) -> None:
    check_is_fitted(regressor := operator.raw_operator)
    n_rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type.shape = [n_rows, regressor.n_outputs_]


def _register() -> None:
    options = {
        "zipmap": [True, False, "columns"],
        "output_class_labels": [False, True],
        "nocl": [True, False],
    }
    for cls in (HillClimbPerceptron, HillClimbMLP, BackpropMLP):
        update_registered_converter(
            cls,
            f"Skperceptron{cls.__name__}",
            _shape_classifier,
            _convert_classifier,
            options=options,
        )
    for regressor in (HillClimbMLPRegressor, BackpropMLPRegressor):
        update_registered_converter(
            regressor,
            f"Skperceptron{regressor.__name__}",
            _shape_regressor,
            _convert_regressor,
        )


_register()
