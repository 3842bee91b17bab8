"""Kernels where numba can keep nothing, and where it compiles nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csr_array

import skperceptron
from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.network import ACTIVATIONS, DIFFERENTIABLE

ROOT = Path(__file__).parents[3]
IMPORT_KERNELS = """
import importlib, pkgutil
from skperceptron import optim
for module in pkgutil.walk_packages(optim.__path__, optim.__name__ + "."):
    importlib.import_module(module.name)
"""
# One that is compiled in no time; by its name the cache is recognised.
CALL = """
import numpy as np
def call(dtype):
    from skperceptron.optim.kernels._elementwise import all_finite
    assert all_finite(np.ones((1, 3), dtype), 0)
"""
FIT = """
import numpy as np, skperceptron
X = np.random.default_rng(0).normal(size=(20, 3))
with skperceptron.config_context(tracking=False):
    for cls in "HillClimbPerceptron", "HillClimbMLP", "BackpropMLP":
        getattr(skperceptron, cls)(max_iter=5, tol=1).fit(X, np.arange(20) % 3)
"""


def run(code, **env):
    env = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")} | env
    # Code that is not optimised is compiled in half the time.
    env |= {"NUMBA_OPT": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    cwd = env.pop("cwd")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr


# A process that finds no code in the cache, and saves its own when it is told to.
SAVE = f"""{CALL}
import sys
from numba.core.caching import IndexDataCacheFile as CacheFile
save = CacheFile._save_data
CacheFile._load_index = lambda self: {{}}
def save_later(self, name, data):
    print(flush=True)
    sys.stdin.readline()
    save(self, name, data)
CacheFile._save_data = save_later
call(sys.argv[1])
"""


def test_processes_that_compile_for_other_types_at_once_keep_apart(tmp_path):
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_OPT": "0"}
    processes = []
    for dtype in ("float64", "float32"):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVE, dtype],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        process.stdout.readline()
        processes.append(process)
    for process in reversed(processes):
        process.communicate("\n")
    for dtype in ("float64", "float32"):
        run(f"{CALL}\ncall({dtype!r})", cwd=ROOT, NUMBA_CACHE_DIR=str(tmp_path))


@pytest.fixture
def locked_package(tmp_path):
    """Copy the package so that not even root can write a cache beside its source."""
    copy = tmp_path / "read-only"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(
        Path(skperceptron.__file__).parent, copy / "skperceptron", ignore=ignored
    )
    for folder in ("kernels", "climbs", "gradient"):
        (copy / "skperceptron" / "optim" / folder / "__pycache__").touch()
    return str(copy)


def test_kernels_run_where_neither_the_package_nor_the_home_can_be_written(
    locked_package, tmp_path
):
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    # "home": without one in /etc/passwd, it is no absolute path either.
    code = f"""{CALL}
import os, skperceptron
def check(home):
    os.environ["HOME"] = home
    exec({IMPORT_KERNELS!r})
    call(float)
    assert not os.listdir()
for home in "/proc/1", "home":
    if (child := os.fork()) == 0:  # has imported skperceptron, but no kernels
        check(home)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, home
"""
    run(code, cwd=cwd, PYTHONPATH=locked_package)


@pytest.mark.slow
def test_all_classifiers_fit_where_nothing_can_be_written(locked_package, tmp_path):
    env = {"HOME": "/proc/1", "TMPDIR": "/proc/1"}
    run(FIT, cwd=tmp_path, PYTHONPATH=locked_package, **env)


@pytest.mark.slow
def test_the_users_cache_folder_is_used_and_not_missed_when_it_is_gone(tmp_path):
    cache = tmp_path / "cache"
    code = f"""{CALL}
import pathlib, shutil
cache = pathlib.Path({str(cache)!r})
call(np.float64)
assert list(cache.rglob("*all_finite*.nbc"))
shutil.rmtree(cache)
cache.write_text("no folder any more")
call(np.float32)
"""
    run(code, cwd=tmp_path, PYTHONPATH=str(ROOT), NUMBA_CACHE_DIR=str(cache))


def test_the_cache_may_be_about_named_tuples_that_have_other_names_now(tmp_path):
    # As when this package has been replaced by another version of itself.
    for name in ("Old", "New"):
        (tmp_path / "kernel.py").write_text(f"""
from typing import NamedTuple
from skperceptron.optim.kernels._compile import COMPILE, njit
class {name}(NamedTuple):
    number: float
@njit(**COMPILE)
def double(some):
    return 2 * some.number
""")
        code = f"import kernel; assert kernel.double(kernel.{name}(1.5)) == 3"
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        cache = str(tmp_path / "cache")
        run(code, cwd=tmp_path, PYTHONPATH=path, NUMBA_CACHE_DIR=cache)


def weights_of_many_fits(dtype):
    """Fit what runs each kernel, and return all weights by a name of the fit."""
    rng = np.random.default_rng(0)
    X, wide = rng.normal(size=(40, 4)), rng.normal(size=(40, 20))
    three = np.digitize(X[:, 0] + 0.3 * X[:, 1], [-0.5, 0.5])
    two, several = np.minimum(three, 1), (X[:, :3] > 0).astype(int)
    weight = rng.uniform(0.5, 2, size=40)
    cases = [
        (BackpropMLP((3,), loss=loss, solver=solver, max_iter=2), X, y, None)
        for solver in ("adam", "sgd", "adamw", "rmsprop", "lbfgs")
        for loss, y in (("log_loss", three), ("squared_error", several))
    ]
    deep = {"hidden_layer_sizes": (2,) * len(DIFFERENTIABLE), "max_iter": 2}
    deep |= {"activation": list(DIFFERENTIABLE), "init": "he_normal"}
    cases += [
        (BackpropMLP(**deep), X, three, None),
        (BackpropMLP(**deep, dropout=0.3, input_dropout=0.2), X, three, weight),
        (BackpropMLP(**deep, max_grad_norm=0.1), csr_array(X), three, None),
        (BackpropMLP((3, 2), early_stopping=True, max_iter=2), X, two, weight),
    ]
    deep = {"hidden_layer_sizes": (2,) * len(ACTIVATIONS), "max_iter": 5}
    deep |= {"activation": list(ACTIVATIONS)}
    for mutation in ("unit", "all"):
        how = {"mutation": mutation, "max_iter": 5}
        few = {"surrogate_iter": 50}  # else rounding in float32 adds up
        for samples in (X, wide, csr_array(X)):
            for y in (two, three):
                cases += [
                    (HillClimbPerceptron(**how, **few), samples, y, None),
                    (HillClimbPerceptron(**how, **few), samples, y, weight),
                ]
        for objective in ("accuracy", "log_loss", "f1_macro"):
            how |= {"objective": objective, "surrogate_iter": 10}
            cases += [
                (HillClimbMLP((3,), "logistic", **how), X, two, None),
                (HillClimbMLP((3, 2), "logistic", **how), X, three, weight),
                (HillClimbMLP((3,), "logistic", **how), csr_array(X), three, None),
                (HillClimbMLP(**deep | how), X, three, None),
            ]
    results = {}
    for i, (clf, samples, y, sample_weight) in enumerate(cases):
        clf.set_params(random_state=0, tol=1)
        with skperceptron.config_context(tracking=False):
            clf.fit(samples.astype(dtype), y, sample_weight=sample_weight)
        weights = clf.decision_function(samples.astype(dtype)).ravel()
        results[f"{i} {clf}"] = weights
    return results


@pytest.mark.parametrize(
    ("dtype", "rtol"),
    [("float64", 1e-9), pytest.param("float32", 2e-3, marks=pytest.mark.slow)],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_everything_fits_alike_when_nothing_is_compiled(dtype, rtol, tmp_path):
    out = tmp_path / "weights.npz"
    code = f"""
import warnings, numpy as np
from sklearn.exceptions import ConvergenceWarning
warnings.simplefilter("error")
warnings.simplefilter("ignore", ConvergenceWarning)
from tests.optim.kernels.test_compile import weights_of_many_fits
np.savez({str(out)!r}, *weights_of_many_fits({dtype!r}).values())
"""
    run(code, cwd=ROOT, NUMBA_DISABLE_JIT="1")
    with np.load(out) as arrays:
        interpreted = list(arrays.values())
    compiled = weights_of_many_fits(dtype)
    assert len(compiled) == len(interpreted)
    for (name, expected), found in zip(compiled.items(), interpreted, strict=True):
        assert_allclose(found, expected, rtol, rtol / 10, err_msg=name)
