"""The classifier trained by backpropagation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from skperceptron.classifiers._base_backprop import BaseBackprop, is_stochastic
from skperceptron.classifiers._mlp_classifier import MLPClassifierMixin


class BackpropMLP(MLPClassifierMixin, BaseBackprop):
    """Multilayer perceptron trained by backpropagation.

    It takes the parameters of scikit-learn's
    :class:`~sklearn.neural_network.MLPClassifier` with their names, defaults and
    meanings, and finds the same weights from the same integer seed. In addition, it
    has class weights, more activations (also one per layer) and more initialisations,
    supports scikit-learn's callbacks, and every fit is an MLflow run.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer.

    activation : str or sequence of str, default="relu"
        Activation of the hidden layers, or one name for each of them: "identity",
        "logistic", "tanh", "relu", "leaky_relu" (slope 0.01), "elu" (alpha 1),
        "softplus", "silu", "gelu".

    solver : {"lbfgs", "sgd", "adam", "adamw", "rmsprop"}, default="adam"
        How the weights are moved: by the quasi-Newton method L-BFGS on all samples at
        once, by stochastic gradient descent, by Adam, by Adam with decoupled weight
        decay, or by RMSProp.

    alpha : float, default=0.0001
        Strength of the L2 penalty, which is divided by the number of samples (or the
        sum of their weights) of a mini-batch. "adamw" has no penalty: its weights,
        but not the biases, shrink by ``learning_rate_init * alpha`` at each update.

    batch_size : int or "auto", default="auto"
        Samples per mini-batch; "auto" is ``min(200, n_samples)``. Not used by "lbfgs".

    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Schedule of the learning rate of "sgd": constant; ``learning_rate_init / (t + 1)
        ** power_t`` after `t` samples; or divided by 5 whenever two epochs in a row
        bring less than `tol`.

    learning_rate_init : float, default=0.001
        Learning rate at the start. Not used by "lbfgs".

    power_t : float, default=0.5
        Exponent of the "invscaling" schedule.

    max_iter : int, default=200
        Maximum number of epochs (iterations of "lbfgs").

    shuffle : bool, default=True
        Whether to reorder the samples before each epoch.

    init : str, default="auto"
        Start weights: "auto" as MLPClassifier draws them, "glorot_uniform",
        "glorot_normal", "he_uniform", "he_normal" (all with biases 0), or "normal"
        (N(0, 1), biases 0.01).

    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss: ``{label: weight}`` (1 for labels left out),
        inversely proportional to their frequency, or all alike. Labels that do not
        occur are ignored, as in a fold without them, but not if none does.

    dropout : float or array-like of shape (n_hidden_layers,), default=0.0
        Probability, at least 0 and below 1, that the output of a hidden unit counts as
        0 for a sample of a mini-batch while training; the other outputs are divided by
        ``1 - dropout``. One number for all hidden layers or one for each of them. Not
        for "lbfgs".

    input_dropout : float, default=0.0
        The same for the features.

    loss : {"log_loss", "squared_error"}, default="log_loss"
        What is minimised: the cross-entropy, or half the sum of the squared differences
        between the outputs and their targets 0 and 1.

    max_grad_norm : float or None, default=None
        The gradient of a mini-batch, over all layers and with the penalty, is shortened
        to this length when it is longer. Not for "lbfgs".

    random_state : int, RandomState instance or None, default=None
        Source of the start weights, the validation split, the shuffling and dropout. An
        int makes fits reproducible.

    tol : float, default=1e-4
        Smallest improvement that counts.

    verbose : bool or int, default=False
        Whether to print the loss of each epoch.

    warm_start : bool, default=False
        Whether a second `fit` starts from the present weights. All else starts again:
        the state of the solver, the count of epochs without an improvement, and the
        best loss or validation score, which are those of the new epochs on the new
        data. (MLPClassifier goes on counting, so that it ends a warm start after one
        epoch once it has converged.)

    momentum : float in [0, 1], default=0.9
        Momentum of "sgd".

    nesterovs_momentum : bool, default=True
        Whether that momentum looks ahead.

    early_stopping : bool, default=False
        Whether to hold out a part of the training data, to stop when the accuracy on it
        (or the value of `scoring`) does not improve any more, and to keep the best
        weights of the fit. "lbfgs" takes no notice of it.

    scoring : str, callable or None, default=None
        What early stopping watches: the name of a scorer of scikit-learn or a scorer
        ``(estimator, X, y) -> score``, which is better when greater; "loss" for the
        loss, without the penalty; or None for the accuracy, as in MLPClassifier.
        Sample weights are passed on to it. Where one class is rare, the accuracy hardly
        changes while the network learns to tell it: use "loss" or "average_precision".

    validation_fraction : float in [0, 1), default=0.1
        Share of the training data held out, unless `fit` gets `X_val` and `y_val`.

    beta_1 : float in [0, 1), default=0.9
        Decay rate of the first moment of "adam" and "adamw".

    beta_2 : float in [0, 1), default=0.999
        Decay rate of the second moment of "adam", "adamw" and "rmsprop". The last one
        is commonly used with 0.9 or 0.99.

    epsilon : float, default=1e-8
        Keeps the division by the root of the second moment finite.

    n_iter_no_change : int, default=10
        Epochs in a row without an improvement of `tol` after which training stops.

    max_fun : int, default=15000
        Maximum number of evaluations of the loss by "lbfgs".

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    coefs_ : list of ndarray of shape (fan_in, fan_out)
        Weights of each layer.

    intercepts_ : list of ndarray of shape (fan_out,)
        Biases of each layer.

    loss_ : float
        Loss of the last epoch.

    best_loss_ : float or None
        Smallest loss of an epoch since the last `fit` began; None where there is a
        validation score.

    loss_curve_ : list of float
        Loss of each epoch (iteration of "lbfgs"). `partial_fit` and warm starts append
        to it, and to the other curves.

    grad_norms_ : ndarray of shape (n_epochs, `n_layers_` - 1)
        Norm of each layer's gradient, weights and biases together, as a mean over the
        mini-batches of each epoch (of each iteration of "lbfgs", after it). Norms that
        shrink or grow by orders of magnitude from layer to layer show a vanishing or
        exploding gradient. As many rows as ``loss_curve_`` has values.

    validation_scores_ : list of float or None
        Accuracy on the validation data after each epoch, or the value of `scoring`; for
        "loss" the negative loss. None without early stopping and for "lbfgs".

    validation_loss_curve_ : list of float or None
        Loss on the validation data after each epoch, without the penalty and without
        dropout; None without early stopping and for "lbfgs".

    best_validation_score_ : float or None
        The best of those of the last `fit`; None without early stopping and for
        "lbfgs".

    n_iter_ : int
        Epochs trained by the last call.

    t_ : int
        Samples seen in training.

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `X` has names that are all strings.

    n_layers_ : int
        Number of layers, input and output included.

    n_outputs_ : int
        Number of output units.

    out_activation_ : {"logistic", "softmax"}
        Activation of the output layer.

    run_id_ : str or None
        MLflow run of this fit; None when it is not tracked.

    See Also
    --------
    HillClimbMLP : The same network trained without gradients.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by
    back-propagating errors", Nature 323, 1986.

    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019.

    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov, "Dropout: a
    simple way to prevent neural networks from overfitting", JMLR 15, 2014.

    R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural
    networks", ICML 2013.

    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", AISTATS 2010.

    Examples
    --------
    >>> import skperceptron
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X_train, X_test, y_train, y_test = train_test_split(
    ...     *load_breast_cancer(return_X_y=True), random_state=0
    ... )
    >>> clf = skperceptron.BackpropMLP(activation="silu", tol=1e-3, random_state=0)
    >>> with skperceptron.config_context(tracking=False):
    ...     pipeline = make_pipeline(StandardScaler(), clf).fit(X_train, y_train)
    >>> pipeline.score(X_test, y_test) > 0.95
    True
    """

    _fewest_classes = 1  # as for MLPClassifier

    _counterpart = "BackpropMLPRegressor"

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseBackprop._parameter_constraints,
        **MLPClassifierMixin._parameter_constraints,
        "loss": [StrOptions({"log_loss", "squared_error"})],
    }

    def __init__(
        self,
        hidden_layer_sizes: int | ArrayLike = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: Literal["lbfgs", "sgd", "adam", "adamw", "rmsprop"] = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: Literal["constant", "invscaling", "adaptive"] = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        init: str = "auto",
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        dropout: float | ArrayLike = 0.0,
        input_dropout: float = 0.0,
        loss: Literal["log_loss", "squared_error"] = "log_loss",
        max_grad_norm: float | None = None,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        scoring: str | Callable[..., float] | None = None,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15000,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.init = init
        self.class_weight = class_weight
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.loss = loss
        self.max_grad_norm = max_grad_norm
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun

    partial_fit = available_if(is_stochastic)(MLPClassifierMixin.partial_fit)

    def _targets(self, codes: NDArray[np.intp]) -> NDArray[np.bool_]:
        """One column of 0 and 1 for up to two classes, else one per class or label."""
        if codes.ndim == 2:
            return codes.astype(bool)
        if len(self.classes_) <= 2:
            return codes[:, np.newaxis] == 1
        return codes[:, np.newaxis] == np.arange(len(self.classes_))

    def _output_activation(self, codes: NDArray[np.intp], n_outputs: int) -> str:
        return "softmax" if codes.ndim == 1 and n_outputs > 1 else "logistic"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
