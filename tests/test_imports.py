"""What is imported when, and who may import whom.

The lists of exceptions say what is not yet as it should be. A test fails for what is
missing in a list, and for what is listed and not true any more.
"""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "skperceptron"
HEAVY = ("mlflow", "optuna", "matplotlib")


def modules_after(*steps):
    """The modules that a process has imported after each of its steps."""
    script = "import sys\n" + "".join(
        f"{code}\nprint(*sys.modules)\n" for code in steps
    )
    out = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    return [set(line.split()) for line in out.stdout.splitlines()]


def test_neither_the_package_nor_a_tracked_fit_imports_anything_heavy():
    untracked = (
        "from sklearn.datasets import load_iris\n"
        "from sklearn.model_selection import cross_val_score\n"
        "clf = skperceptron.HillClimbPerceptron(max_iter=5)\n"
        "with skperceptron.config_context(tracking=False):\n"
        "    cross_val_score(clf, *load_iris(return_X_y=True))\n"
    )
    tracked = "assert clf.fit(*load_iris(return_X_y=True)).run_id_ is not None\n"
    first, second, last = modules_after("import skperceptron", untracked, tracked)
    assert not first & set(HEAVY)
    assert "mlflow" not in second | last


# Who imports whom


@cache
def files():
    """The files of the package by the names of the modules in them."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        *folders, name = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(folders if name == "__init__" else [*folders, name])] = path
    return found


@cache
def nodes_of(module):
    """All that is in a module, functions included."""
    return list(ast.walk(ast.parse(files()[module].read_text())))


@cache
def imported_names(module):
    """What a module imports: anywhere in it, in functions and for types only, too."""
    names = set()
    for node in nodes_of(module):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and is_import_by_name(node):
            names.add(node.args[0].value)
    return names


def is_import_by_name(call):
    """Whether a call is of `importlib.import_module`, for a name that is known."""
    name = getattr(call.func, "attr", None) or getattr(call.func, "id", None)
    return name == "import_module" and isinstance(call.args[0], ast.Constant)


@cache
def imported_modules(module):
    """The modules of this package among them."""
    names = {n for n in imported_names(module) if n.split(".")[0] == "skperceptron"}
    return {n if n in files() else n.rpartition(".")[0] for n in names} - {module}


def arrows(within):
    """All pairs of modules of which the first, that of a folder, imports the second."""
    return {
        (module, other)
        for module in files()
        if f"{module}.".startswith(f"skperceptron.{within}.")
        for other in imported_modules(module)
    }


def circle_through(module):
    """A shortest way of imports from a module back to itself, if there is one."""
    ways = {module: [module]}
    waiting = [module]
    for at in waiting:
        for other in sorted(imported_modules(at)):
            if other == module:
                return [*ways[at], module]
            if other not in ways:
                ways[other] = [*ways[at], other]
                waiting.append(other)
    return None


def test_no_module_imports_itself_by_way_of_others():
    circles = {module: circle_through(module) for module in files()}
    assert not {module: circle for module, circle in circles.items() if circle}


# The folders of the package, and the modules beside them, with what they may import of
# each other.
MAY_IMPORT = {
    "_config": {"_names"},
    "_functions": set(),
    "_names": set(),
    "_version": set(),
    "_workers": set(),
    "inspection": {
        "_config",
        "classifiers",
        "inspection",
        "network",
        "optim",
        "plotting",
    },
    "metrics": set(),
    "network": {"network"},
    "onnx": {"classifiers", "network"},
    "optim": {"network", "optim"},
    "plotting": {"_functions", "_names", "network", "plotting"},
    "tracking": {
        "_config",
        "_functions",
        "_version",
        "_workers",
        "plotting",
        "tracking",
    },
    "classifiers": {
        "_functions",
        "_names",
        "_version",
        "_workers",
        "classifiers",
        "metrics",
        "network",
        "optim",
        "tracking",
    },
    "tuning": {"_names", "classifiers", "tracking", "tuning"},
    "callbacks": {"_functions", "callbacks", "classifiers", "plotting", "tracking"},
}
# What folders must not import of other packages.
FORBIDDEN = {
    "network": ("sklearn", *HEAVY),
    "optim": ("sklearn", *HEAVY),
    "classifiers": HEAVY,
    "inspection": ("mlflow", "optuna"),
    "plotting": ("mlflow", "optuna"),
    "tuning": ("mlflow", "matplotlib"),
    "callbacks": ("mlflow", "optuna"),
}


def test_every_folder_has_a_place():
    top = {name.split(".")[1] for name in files() if "." in name}
    assert top == set(MAY_IMPORT)


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_imports_go_down_only(folder):
    others = {other.split(".")[1] for _, other in arrows(folder)}
    assert others <= MAY_IMPORT[folder]


@pytest.mark.parametrize("folder", sorted(FORBIDDEN))
def test_folders_do_without_other_packages(folder):
    for module in files():
        if f"{module}.".startswith(f"skperceptron.{folder}."):
            names = {name.split(".")[0] for name in imported_names(module)}
            assert not names & set(FORBIDDEN[folder]), module


# Tracking: recording -> journal <- delivery

TRACKING = "skperceptron.tracking."
# What is below the three folders, ...
BELOW = {
    "_credentials",
    "_local_stores",
    "_packed_list",
    "_notices",
    "_reasons",
    "_warnings",
    "pyfunc",
}
# ... and above them.
ABOVE = {"", "__main__", "_flush", "_lookup"}
MAY_IMPORT_IN_TRACKING = {
    **dict.fromkeys(BELOW, BELOW),
    "journal": {"journal"} | BELOW,
    "recording": {"recording", "journal"} | BELOW,
    "delivery": {"delivery", "journal"} | BELOW,
    **dict.fromkeys(ABOVE, {"recording", "journal", "delivery"} | BELOW | ABOVE),
}
# What is imported of tracking by the folders above it.
USED_ABOVE = {
    ("callbacks", "recording._sklearn_internals"),
    ("classifiers", "_lookup"),
    ("classifiers", "recording._attributes"),
    ("classifiers", "recording._clones"),
    ("classifiers", "recording._recorder"),
    ("classifiers", "recording._sklearn_internals"),
    ("tuning", "recording._sklearn_internals"),
}


def name_in_tracking(module):
    return f"{module}.".removeprefix(TRACKING).removesuffix(".")


def part_of_tracking(module):
    """The folder of a module in tracking, or the module itself if it is in none."""
    return name_in_tracking(module).split(".")[0]


def arrows_in_tracking():
    return {(m, o) for m, o in arrows("tracking") if f"{o}.".startswith(TRACKING)}


def test_every_module_of_tracking_has_a_place():
    parts = {part_of_tracking(m) for m in files() if f"{m}.".startswith(TRACKING)}
    assert parts == set(MAY_IMPORT_IN_TRACKING)


def test_recording_and_delivery_know_the_journal_only():
    found = {
        (name_in_tracking(module), name_in_tracking(other))
        for module, other in arrows_in_tracking()
        if part_of_tracking(other)
        not in MAY_IMPORT_IN_TRACKING[part_of_tracking(module)]
    }
    assert found == set()


def test_folders_above_tracking_use_little_of_it():
    found = {
        (folder, name_in_tracking(other))
        for folder in ("callbacks", "classifiers", "tuning")
        for _, other in arrows(folder)
        if f"{other}.".startswith(TRACKING)
    }
    assert found == USED_ABOVE


# MLflow loads the first one itself. The second one reads which run and which store the
# user has chosen.
IMPORT_MLFLOW = {"pyfunc", "recording._active_run"}


def test_only_delivery_imports_mlflow():
    found = {
        module
        for module in files()
        if any(name.split(".")[0] == "mlflow" for name in imported_names(module))
    }
    outside = {m for m in found if part_of_tracking(m) != "delivery"}
    assert {name_in_tracking(m) for m in outside} == IMPORT_MLFLOW


def test_only_studies_import_optuna():
    found = {
        name_in_tracking(module)
        for module in files()
        if f"{module}.".startswith(TRACKING)
        and any(name.split(".")[0] == "optuna" for name in imported_names(module))
    }
    assert found == {
        "recording._lost_trials",
        "recording._originals",
        "recording._pareto_front",
        "recording._study",
        "recording._study_agreement",
        "recording._trial",
        "recording._watched_study",
    }


# Tests of the inside of tracking

TESTS = Path(__file__).parent
INSIDE = re.compile(
    r"skperceptron\.tracking\.(delivery|journal|recording|_)|\.jsonl|\._run_ticket"
)
# How runs wait in the journal, and how they are delivered.
TESTS_OF_JOURNAL_AND_DELIVERY = {
    "reliability/test_malicious_journal",
    "tracking/delivery_here",
    "tracking/journal_files",
    "tracking/test_delivery_steps",
    "tracking/test_delivery",
    "tracking/test_failures",
    "tracking/test_journal",
    "tracking/test_left_runs",
    "tracking/test_machines",
    "tracking/test_pauses",
    "tracking/test_store_making",
    "tracking/test_transaction",
}
# One module each, such as that of the models; or what cannot be brought about from
# outside, such as another version of scikit-learn.
TESTS_OF_MODULES = {
    "patience",
    "reliability/test_round_trips",
    "scaling/test_studies_across_processes",
    "tracking/test_calls",
    "tracking/test_destination",
    "tracking/test_figures",
    "tracking/test_fits",
    "tracking/test_local_stores",
    "tracking/conftest",
    "tracking/models",
    "tracking/test_model_keeping",
    "tracking/test_model_logging",
    "tracking/test_model_oracle",
    "tracking/test_model_saving",
    "tracking/test_model_trust",
    "tracking/test_older_stores",
    "tracking/test_reasons",
    "tracking/test_studies",
    "tracking/test_tracker_searches",
}


def test_promises_of_tracking_are_tested_with_what_users_can_reach():
    """They hold, unchanged, whatever becomes of the inside."""
    found = {
        path.relative_to(TESTS).with_suffix("").as_posix()
        for path in TESTS.rglob("*.py")
        if INSIDE.search(path.read_text(encoding="utf-8"))
    }
    found.discard("test_imports")
    assert found == TESTS_OF_JOURNAL_AND_DELIVERY | TESTS_OF_MODULES


# What is known of scikit-learn's and joblib's insides

INTERNALS = f"{TRACKING}recording._sklearn_internals"
# How to look at what goes on in the interpreter.
FRAMES = {"_current_exceptions", "_current_frames", "_getframe", "f_locals"}
# The first one looks whether its process is a worker, the second one at Optuna.
LOOK_AT_FRAMES = {"skperceptron._workers", f"{TRACKING}recording._watched_study"}
# Where scikit-learn's own estimators, and those of others, begin as well.
FOR_ESTIMATORS = {
    "sklearn.base._fit_context",
    "sklearn.utils._optional_dependencies.check_matplotlib_support",
    "sklearn.utils._param_validation.Interval",
    "sklearn.utils._param_validation.InvalidParameterError",
    "sklearn.utils._param_validation.Options",
    "sklearn.utils._param_validation.StrOptions",
    "sklearn.utils.multiclass._check_partial_fit_first_call",
    "sklearn.utils.optimize._check_optimize_result",
    "sklearn.utils.validation._check_sample_weight",
}
# Which metric a scorer is made of.
OF_SCORERS = {
    ("skperceptron.classifiers._objectives", "sklearn.metrics._scorer._BaseScorer"),
    ("skperceptron.classifiers._objectives", "sklearn.metrics._scorer._Scorer"),
}


def attributes_of(module):
    return {n.attr for n in nodes_of(module) if isinstance(n, ast.Attribute)}


def texts_of(module):
    constants = [n.value for n in nodes_of(module) if isinstance(n, ast.Constant)]
    return {value for value in constants if isinstance(value, str)}


def test_one_module_looks_at_frames_of_scikit_learn():
    found = {module for module in files() if attributes_of(module) & FRAMES}
    assert found == {INTERNALS} | LOOK_AT_FRAMES


def test_one_module_imports_what_scikit_learn_and_joblib_keep_to_themselves():
    found = {
        (module, name)
        for module in set(files()) - {INTERNALS}
        for name in imported_names(module)
        if name.startswith(("sklearn.", "joblib."))
        and any(part.startswith("_") for part in name.split("."))
        and name not in FOR_ESTIMATORS
    }
    assert found == OF_SCORERS


def test_one_module_knows_where_scikit_learn_keeps_callbacks():
    hidden = ("_skl_callback", "_callback_fit_ctx", "_parent_callback", "_run_search")
    for module in set(files()) - {INTERNALS}:
        names = attributes_of(module) | texts_of(module)
        assert not {n for n in names if n.startswith(hidden)}, module
