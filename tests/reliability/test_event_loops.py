"""Fits under an event loop that runs already, as in notebooks and web services."""

import ast
import asyncio
import threading

import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

import skperceptron
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, flush
from tests.reliability.conftest import ROOT

X, y = load_iris(return_X_y=True)


def fit(**params):
    return HillClimbPerceptron(**{"max_iter": 20, **params}).fit(X, y)


def runs_of(clfs):
    return sorted(clf.run_id_ for clf in clfs)


def test_fit_in_a_coroutine_is_delivered_when_it_returns(runs):
    async def main():
        clf = fit()
        assert clf.run_id_ is not None
        assert flush() == 0
        return clf

    clf = asyncio.run(main())
    assert runs().run_ids == runs_of([clf])


def test_fits_beside_the_loop_are_one_run_each(runs):
    async def main():
        beside = [asyncio.to_thread(fit, random_state=i) for i in range(6)]
        return [fit(), *await asyncio.gather(*beside), fit()]

    clfs = asyncio.run(main())
    logged = runs()
    assert logged.are_finished_once
    assert sorted(logged.run_ids) == runs_of(clfs)


def test_loop_goes_on_beside_a_fit(runs):
    may_go = threading.Event()

    def metric(y_true, y_pred):
        assert may_go.wait(60)  # the sign that only the loop gives
        return np.mean(y_true == y_pred)

    async def main():
        fitting = asyncio.create_task(asyncio.to_thread(fit, objective=metric))
        for _ in range(3):
            await asyncio.sleep(0.01)
        assert not fitting.done()
        may_go.set()
        return await fitting

    clf = asyncio.run(main())
    assert runs().run_ids == runs_of([clf])


def test_context_of_a_task_is_that_of_the_fits_it_starts(runs):
    async def task(tracking):
        with skperceptron.config_context(tracking=tracking):
            await asyncio.sleep(0)  # the other tasks enter theirs
            before = fit()
            beside = await asyncio.to_thread(fit)
            assert skperceptron.get_config()["tracking"] is tracking
            return [before, beside]

    async def main():
        return await asyncio.gather(task(True), task(False), task(True))

    first, untracked, third = asyncio.run(main())
    assert [clf.run_id_ for clf in untracked] == [None, None]
    assert sorted(runs().run_ids) == runs_of(first + third)


def test_fit_whose_task_is_cancelled_is_a_run_all_the_same(runs):
    is_inside, may_go = threading.Event(), threading.Event()
    clf = HillClimbPerceptron(max_iter=3)

    def metric(y_true, y_pred):
        is_inside.set()
        assert may_go.wait(60)
        return np.mean(y_true == y_pred)

    async def main():
        clf.objective = metric
        task = asyncio.create_task(asyncio.to_thread(clf.fit, X, y))
        while not is_inside.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        may_go.set()  # a thread cannot be cancelled

    asyncio.run(main())  # which waits for its threads
    logged = runs()
    assert logged.are_finished_once
    assert logged.run_ids == runs_of([clf])


def test_searches_of_several_tasks_are_complete(runs):
    def search(tracked):
        found = GridSearchCV(HillClimbPerceptron(max_iter=5), {"tol": [0, 1]}, cv=2)
        return found.set_callbacks(*tracked).fit(X, y)

    async def main():
        tracked = [MLflowTracker(log_models="none")]
        await asyncio.gather(
            asyncio.to_thread(search, tracked), asyncio.to_thread(search, [])
        )

    asyncio.run(main())
    logged = runs()
    assert logged.are_finished_once
    assert len(logged.keys) == (1 + 2 + 4 + 1) + (1 + 4 + 1)


@pytest.fixture
def kernel(runs):
    """A client of a new kernel, which has the test's experiment by its environment."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=ROOT)
    yield client
    client.stop_channels()
    manager.shutdown_kernel()
    manager.cleanup_resources()
    manager.context.destroy()


def execute(kernel, *lines):
    """Run a cell, and give back what it has shown."""
    shown = []

    def note(message):
        content = message["content"]
        if message["msg_type"] == "error":
            raise AssertionError("\n".join(content["traceback"]))
        shown.append(content.get("data", {}))

    kernel.execute_interactive("\n".join(lines), output_hook=note, timeout=240)
    return {kind: data for part in shown for kind, data in part.items()}


def test_fits_in_cells_of_a_notebook_are_delivered_and_shown(runs, kernel):
    execute(
        kernel,
        "import asyncio",
        "from sklearn.datasets import load_iris",
        "from skperceptron import HillClimbPerceptron",
        "X, y = load_iris(return_X_y=True)",
    )
    shown = execute(kernel, "clf = HillClimbPerceptron(max_iter=20).fit(X, y)", "clf")
    assert len(runs().keys) == 1  # before the next cell
    run_id = ast.literal_eval(execute(kernel, "clf.run_id_")["text/plain"])
    assert run_id in shown["text/html"]
    execute(kernel, "await asyncio.to_thread(clf.fit, X, y)")
    logged = runs()
    assert logged.are_finished_once
    assert len(logged.keys) == 2
