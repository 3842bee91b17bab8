"""Whatever is put in, out comes a good error or a finite prediction.

The cases are in corpus.py. They run in processes of their own: compiled code that
follows a bad index brings the whole interpreter down, and a test with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skperceptron import (
    BackpropMLP,
    HillClimbMLP,
    HillClimbPerceptron,
    config_context,
)
from tests.reliability import corpus

ROOT = Path(__file__).parents[2]
# Generous: the compiled loops may have to be compiled first.
SECONDS_PER_CASE = 120
# Of the cases of the estimators, one in 61 is run each time: each table and each method
# has some.
STRIDE = 61
QUICK = [g for g in corpus.GROUPS if g not in ("functions", "tracked fits")]
MAX_CRASHES = 5


@dataclass
class Report:
    """What came of some cases."""

    n_distinct: int = 0
    n_run: int = 0
    faults: list[str] = field(default_factory=list)


def run(folder, groups, stride=1):
    """Run cases, again and again from behind the one that ends the process."""
    report = Report()
    first = 0
    for _ in range(MAX_CRASHES):
        (report.n_distinct, *lines), errors = run_process(folder, groups, stride, first)
        report.n_run += len(lines) // 2
        for (_, name), fault in zip(lines[::2], lines[1::2], strict=False):
            if fault:
                report.faults.append(f"{name} {fault}")
        if len(lines) % 2 == 0:
            break
        number, name = lines[-1]
        report.faults.append(f"{name} brings the process down:\n{errors}")
        first = number + stride
    return report


def run_process(folder, groups, stride, first):
    """Run cases from one on, until all are run or one ends the process."""
    numbers = map(str, (SECONDS_PER_CASE, stride, first))
    done = subprocess.run(
        [sys.executable, "-m", "tests.reliability.run_cases", *numbers, *groups],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SKPERCEPTRON_TRACKING": "0",
            "SKPERCEPTRON_JOURNAL": str(folder / "journal"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    errors = done.stderr.partition("Extension modules")[0][-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, errors
    return lines, errors


def test_some_of_each_table_ends_in_a_good_error_or_a_finite_prediction(tmp_path):
    report = run(tmp_path, QUICK, STRIDE)
    assert report.faults == []
    assert report.n_distinct > 10_000
    assert report.n_run >= report.n_distinct // STRIDE


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("group", corpus.GROUPS)
def test_every_case_ends_in_a_good_error_or_a_finite_prediction(group, tmp_path):
    report = run(tmp_path, [group])
    assert report.faults == []
    assert report.n_run == report.n_distinct


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The number of unique classes is greater than 50%")
@pytest.mark.parametrize("n_samples", [10_000, 20])
@pytest.mark.parametrize("cls", [BackpropMLP, HillClimbMLP, HillClimbPerceptron])
def test_ten_thousand_classes_are_classes_like_others(cls, n_samples):
    rng = np.random.default_rng(0)
    X, classes = rng.normal(size=(n_samples, 3)), np.arange(10_000)
    clf = cls(max_iter=2, random_state=0)
    with config_context(tracking=False), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if n_samples == len(classes):
            clf.fit(X, classes)
        else:
            clf.partial_fit(X, classes[:n_samples], classes=classes)
    assert clf.classes_.size == 10_000
    some = X[:20]
    assert np.isin(clf.predict(some), classes).all()
    assert np.isfinite(clf.decision_function(some)).all()
    if cls is not HillClimbPerceptron:
        assert_allclose(clf.predict_proba(some).sum(axis=1), 1)


class TestTheCheckItself:
    """A corpus that nothing can fail would prove nothing."""

    @pytest.mark.parametrize(
        ("run", "fault"),
        [
            (lambda: {}[3], "raises KeyError"),
            (lambda: [][3], "raises IndexError"),
            (lambda: 1 / 0, "raises ZeroDivisionError"),
            (lambda: (_ for _ in ()).throw(MemoryError), "raises MemoryError"),
            (lambda: (_ for _ in ()).throw(SystemExit), "raises SystemExit"),
            (lambda: (_ for _ in ()).throw(ValueError("bad")), "says only 'bad'"),
            (lambda: "\ud800".encode(), "is about our code"),
            (lambda: None.shape, "that nobody has thought of"),
            (lambda: "a" - 1, "that nobody has thought of"),
            (lambda: [np.array([1.0, np.nan])], "computes NaN"),
            (lambda: [np.array([1.0, np.inf])], "computes NaN or infinity"),
        ],
    )
    def test_finds(self, run, fault):
        assert fault in corpus.outcome(corpus.Case("a case", run))

    def test_lets_good_errors_and_finite_numbers_pass(self):
        def refuse():
            raise ValueError("X must have at least one row, got none.")

        assert corpus.outcome(corpus.Case("a case", refuse)) == ""
        assert corpus.outcome(corpus.Case("a case", lambda: [np.ones(3)])) == ""

    @pytest.mark.slow
    def test_names_the_case_that_brings_the_process_down(self, tmp_path, monkeypatch):
        code = (
            "import ctypes\n"
            "from tests.reliability import corpus, run_cases\n"
            "fine = corpus.Case('fine', lambda: None)\n"
            "crash = corpus.Case('crash', lambda: ctypes.string_at(0))\n"
            "run_cases.cases = lambda *groups: [fine, crash, fine]\n"
            "run_cases.main()\n"
        )
        command = [sys.executable, "-c", code]

        def run_code(args, run=subprocess.run, **options):
            return run([*command, *args[3:]], **options)

        monkeypatch.setattr(subprocess, "run", run_code)
        report = run(tmp_path, ["any"])
        (fault,) = report.faults
        assert fault.startswith("crash brings the process down:\nFatal Python error")
        assert report.n_run == 2


@pytest.mark.usefixtures("untracked")
@pytest.mark.parametrize("cls", corpus.CLASSIFIERS)
@pytest.mark.parametrize(
    "make", [corpus.unsorted_csr, corpus.duplicated_csr, lambda: corpus.FULL.todia()]
)
def test_odd_but_valid_sparse_matrices_mean_what_they_say(cls, make):
    clf = corpus.fitted(cls)
    expected = clf.decision_function(make().toarray())
    np.testing.assert_allclose(clf.decision_function(make()), expected, atol=1e-12)


@pytest.mark.usefixtures("untracked")
def test_checking_a_sparse_matrix_does_not_change_it():
    matrix = sparse.csr_matrix(corpus.X)
    # With room behind its elements, as scipy sometimes leaves it.
    matrix.data, matrix.indices = (
        np.resize(matrix.data, 200),
        np.resize(matrix.indices, 200),
    )
    corpus.fitted(HillClimbPerceptron).predict(matrix)
    assert len(matrix.data) == len(matrix.indices) == 200


@pytest.mark.usefixtures("untracked")
class TestMessages:
    @pytest.mark.parametrize("cls", corpus.CLASSIFIERS)
    def test_indices_beyond_the_shape(self, cls):
        bad = corpus.damaged_csr(indices=corpus.FULL.indices + 1)
        with pytest.raises(ValueError, match=r"shape \(24, 4\) is damaged"):
            cls().fit(bad, corpus.y)
        with pytest.raises(ValueError, match=r"shape \(24, 4\) is damaged"):
            corpus.fitted(cls).predict(bad)

    @pytest.mark.parametrize("cls", [HillClimbMLP, BackpropMLP])
    def test_network_beyond_the_memory(self, cls):
        with pytest.raises(ValueError, match=r"takes at least \d+ GiB of memory"):
            cls((10**6, 10**6)).fit(corpus.X, corpus.y)

    @pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])
    def test_restarts_beyond_the_memory(self, cls):
        with pytest.raises(ValueError, match="Training 1000000001 times a network"):
            cls(n_restarts=10**9).fit(corpus.X, corpus.y)

    def test_samples_for_which_the_network_overflows(self):
        clf = corpus.fitted(BackpropMLP)
        with pytest.raises(ValueError, match="overflows on these samples"):
            clf.predict_proba(np.full((1, corpus.D), np.finfo(float).max))

    def test_missing_dates_as_labels(self):
        labels = corpus.LABELS["no dates"]()
        with pytest.raises(ValueError, match="y must not contain missing labels"):
            BackpropMLP().fit(corpus.X, labels)

    def test_weights_without_a_sum(self):
        weights = corpus.WEIGHTS["largest floats"]()
        with pytest.raises(ValueError, match="accuracy is not defined"):
            corpus.fitted(BackpropMLP).score(corpus.X, corpus.y, weights)

    def test_integers_beyond_float64(self):
        with pytest.raises(ValueError, match="'alpha' parameter of BackpropMLP must"):
            BackpropMLP(alpha=10**400).fit(corpus.X, corpus.y)
        with pytest.raises(ValueError, match="within the range of float64"):
            BackpropMLP().fit([[10**400]] * 24, corpus.y)
