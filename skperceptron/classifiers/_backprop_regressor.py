"""The regressor trained by backpropagation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if

from skperceptron.classifiers._base_backprop import BaseBackprop, is_stochastic
from skperceptron.classifiers._regressor import NetworkRegressorMixin

Array = NDArray[np.floating]
Loss = Literal["squared_error", "poisson", "absolute_error", "huber", "quantile"]


class BackpropMLPRegressor(NetworkRegressorMixin, BaseBackprop):
    """Multilayer perceptron for numbers, trained by backpropagation.

    It takes the parameters of scikit-learn's
    :class:`~sklearn.neural_network.MLPRegressor` with their names, defaults and
    meanings, and finds the same weights from the same integer seed. In addition, it
    has more losses, dropout, more solvers, activations (also one per layer) and
    initialisations, supports scikit-learn's callbacks, and every fit is an MLflow run.

    Like MLPRegressor it does not scale the target values. Where their standard
    deviation is far from 1, wrap it in
    :class:`~sklearn.compose.TransformedTargetRegressor`.

    Parameters
    ----------
    loss : str, default="squared_error"
        What is minimised, summed over the outputs:

        - "squared_error": half the squared error, which the mean minimises;
        - "poisson": half the Poisson deviance, for counts and rates, at least 0; the
          network learns their logarithm and predicts its exponential;
        - "absolute_error", which the median minimises;
        - "huber": half the squared error, linear beyond `huber_epsilon`;
        - "quantile": the pinball loss, which the `quantile` minimises.

        "lbfgs" takes losses to be smooth: it may stop early where there are absolute
        values, which with several outputs or few samples matters most.

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
        Start weights: "auto" as MLPRegressor draws them, "glorot_uniform",
        "glorot_normal", "he_uniform", "he_normal" (all with biases 0), or "normal"
        (N(0, 1), biases 0.01).

    dropout : float or array-like of shape (n_hidden_layers,), default=0.0
        Probability, at least 0 and below 1, that the output of a hidden unit counts as
        0 for a sample of a mini-batch while training; the other outputs are divided by
        ``1 - dropout``. One number for all hidden layers or one for each of them. Not
        for "lbfgs".

    input_dropout : float, default=0.0
        The same for the features.

    huber_epsilon : float, default=1.35
        Where the Huber loss becomes linear, in units of `y`, above 0. Scale `y`, or
        choose about 1.35 times the standard deviation of errors that are not outliers.
        (`HuberRegressor` estimates that scale itself.) Only for ``loss="huber"``.

    quantile : float in [0, 1] or None, default=None
        Which quantile is learned. Needed for ``loss="quantile"`` and only used there.

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
        data. (MLPRegressor goes on counting, so that it ends a warm start after one
        epoch once it has converged.)

    momentum : float in [0, 1], default=0.9
        Momentum of "sgd".

    nesterovs_momentum : bool, default=True
        Whether that momentum looks ahead.

    early_stopping : bool, default=False
        Whether to hold out a part of the training data, to stop when R2 on it (or the
        value of `scoring`) does not improve any more, and to keep the best weights of
        the fit. R2 says nothing of a quantile other than the median: choose
        ``scoring="loss"`` for those. "lbfgs" takes no notice of it.

    scoring : str, callable or None, default=None
        What early stopping watches: the name of a scorer of scikit-learn or a scorer
        ``(estimator, X, y) -> score``, which is better when greater; "loss" for the
        loss, without the penalty; or None for R2, as in MLPRegressor. Sample weights
        are passed on to it.

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
        Loss of each epoch (iteration of "lbfgs"), with the penalty. `partial_fit` and
        warm starts append to it, and to the other curves. As in MLPRegressor, that of
        "squared_error" is the mean over the outputs, not the sum.

    grad_norms_ : ndarray of shape (n_epochs, `n_layers_` - 1)
        Norm of each layer's gradient, weights and biases together, as a mean over the
        mini-batches of each epoch (of each iteration of "lbfgs", after it). Norms that
        shrink or grow by orders of magnitude from layer to layer show a vanishing or
        exploding gradient. As many rows as ``loss_curve_`` has values.

    validation_scores_ : list of float or None
        R2 on the validation data after each epoch, or the value of `scoring`; for
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
        Number of outputs.

    out_activation_ : {"identity", "exp"}
        Activation of the output layer: "exp" for the Poisson loss.

    run_id_ : str or None
        MLflow run of this fit; None when it is not tracked.

    See Also
    --------
    BackpropMLP : The same for class labels.

    Notes
    -----
    Losses are sums over the outputs, but for the reported value of "squared_error",
    which is their mean; weights move along the gradient of the sum. This is what
    MLPRegressor does, too.

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical
    Statistics 35, 1964.

    R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46, 1978.

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
    >>> from sklearn.compose import TransformedTargetRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X_train, X_test, y_train, y_test = train_test_split(
    ...     *load_diabetes(return_X_y=True), random_state=0
    ... )
    >>> network = skperceptron.BackpropMLPRegressor(
    ...     alpha=1.0, early_stopping=True, random_state=0
    ... )
    >>> model = TransformedTargetRegressor(
    ...     make_pipeline(StandardScaler(), network), transformer=StandardScaler()
    ... )
    >>> with skperceptron.config_context(tracking=False):
    ...     model = model.fit(X_train, y_train)
    >>> model.score(X_test, y_test) > 0.3
    True
    """

    _counterpart = "BackpropMLP"

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseBackprop._parameter_constraints,
        "loss": [
            StrOptions(
                {"squared_error", "poisson", "absolute_error", "huber", "quantile"}
            )
        ],
        "huber_epsilon": [Interval(Real, 0, None, closed="neither")],
        "quantile": [Interval(Real, 0, 1, closed="both"), None],
    }

    def __init__(
        self,
        loss: Loss = "squared_error",
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
        dropout: float | ArrayLike = 0.0,
        input_dropout: float = 0.0,
        huber_epsilon: float = 1.35,
        quantile: float | None = None,
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
        self.loss = loss
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
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.huber_epsilon = huber_epsilon
        self.quantile = quantile
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

    partial_fit = available_if(is_stochastic)(NetworkRegressorMixin.partial_fit)

    def _validate_params(self) -> None:
        super()._validate_params()
        if self.loss == "quantile" and self.quantile is None:
            raise ValueError(
                "loss='quantile' needs to know which quantile: set quantile to a "
                "number from 0 to 1, such as 0.5 for the median."
            )

    def _validate(self, X: ArrayLike, y: ArrayLike, *, reset: bool) -> tuple[Any, Any]:
        checked, values = super()._validate(X, y, reset=reset)
        if self.loss == "poisson" and values.min() < 0:
            raise ValueError(
                "loss='poisson' requires non-negative y, such as counts, but y has "
                f"{values.min()}. Choose another loss."
            )
        return checked, values

    def _targets(self, y: Array) -> Array:
        return y[:, np.newaxis] if y.ndim == 1 else y

    def _output_activation(self, y: Array, n_outputs: int) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    @property
    def _loss_parameter(self) -> float | None:
        return {"huber": self.huber_epsilon, "quantile": self.quantile}.get(self.loss)
