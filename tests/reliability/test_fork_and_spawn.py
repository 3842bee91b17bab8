"""Processes that begin with, or after, what their parent has: nothing lost or doubled.

Files, threads, locks and connections of the parent are not those of its children.
"""

import textwrap

import pytest

from benchmarks._servers import find_postgresql, postgresql

# How a program starts two processes that call `child`, and waits for them; each defines
# `start`, whose result is called to wait.
WAYS = {
    "os.fork, sys.exit": """
        def start():
            def begin():
                if (pid := os.fork()) == 0:
                    child()
                    sys.exit()
                return pid
            pids = [begin(), begin()]
            return lambda: [
                check(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])) for pid in pids
            ]
        """,
    "os.fork, os._exit": """
        def start():
            def begin():
                if (pid := os.fork()) == 0:
                    try:
                        child()
                    finally:
                        os._exit(0)
                return pid
            pids = [begin(), begin()]
            return lambda: [
                check(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])) for pid in pids
            ]
        """,
    **{
        f"Process, {method}": f"""
        def start():
            import multiprocessing
            context = multiprocessing.get_context("{method}")
            processes = [context.Process(target=child) for _ in range(2)]
            for process in processes:
                process.start()
            return lambda: [
                process.join() or check(process.exitcode) for process in processes
            ]
        """
        for method in ("fork", "spawn", "forkserver")
    },
    **{
        f"ProcessPoolExecutor, {method}": f"""
        def start():
            import multiprocessing
            from concurrent.futures import ProcessPoolExecutor
            context = multiprocessing.get_context("{method}")
            pool = ProcessPoolExecutor(2, mp_context=context)
            results = [pool.submit(child) for _ in range(2)]
            return lambda: [result.result() for result in results] and pool.shutdown()
        """
        for method in ("fork", "spawn")
    },
    "Pool, fork": """
        def start():
            import multiprocessing
            pool = multiprocessing.get_context("fork").Pool(2)
            results = [pool.apply_async(child) for _ in range(2)]
            pool.close()
            return lambda: [result.get() for result in results] and pool.join()
        """,
}
WAYS = {name: textwrap.dedent(way) for name, way in WAYS.items()}
QUICK = ("Process, fork",)


def prepare(program, way, child="fit(2)"):
    """Put what a program needs beside it: what its children do, and how they start."""
    (program.folder / "ways.py").write_text(
        "from head import *\n\nskperceptron.set_config(log_models='none')\n\n"
        f"def child():\n{textwrap.indent(textwrap.dedent(child), '    ')}\n\n"
        "def check(exitcode):\n    assert exitcode == 0, exitcode\n" + WAYS[way]
    )


def run(program, way, code, child="fit(2)"):
    prepare(program, way, child)
    program.run("from ways import start\n" + textwrap.dedent(code))
    return program.runs()


def assert_complete(program, runs, n_fits):
    assert runs.are_finished_once
    assert len(program.ended) == n_fits
    assert sorted(runs.run_ids) == sorted(program.ended)
    assert program.n_waiting == 0


@pytest.mark.parametrize(
    "way",
    [pytest.param(way, marks=() if way in QUICK else pytest.mark.slow) for way in WAYS],
)
def test_children_and_their_parent_lose_and_double_no_run(way, program):
    runs = run(program, way, "fit(2)\nwait = start()\nfit(2)\nwait()\nfit()")
    assert_complete(program, runs, 2 + 2 * 2 + 2 + 1)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_children_of_a_parent_that_has_not_fitted_yet_lose_no_run(way, program):
    runs = run(program, way, "start()()\nfit()")
    assert_complete(program, runs, 2 * 2 + 1)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["os.fork, sys.exit", "Process, fork", "Pool, fork"])
def test_searches_of_forked_children_are_complete(way, program):
    # In worker processes of theirs, compiled code and BLAS included.
    child = """
        grid = {"hidden_layer_sizes": [(3,), (5,)]}
        search = GridSearchCV(BackpropMLP(max_iter=2), grid, cv=2, n_jobs=2)
        search.set_callbacks(MLflowTracker(log_models="none")).fit(X, y)
        import multiprocessing
        from joblib.externals.loky import get_reusable_executor
        if not multiprocessing.current_process().daemon:
            # The end of a process of `multiprocessing` waits for them, for minutes.
            get_reusable_executor().shutdown()
        """
    parent = """
        import warnings
        from sklearn.exceptions import ConvergenceWarning
        warnings.simplefilter("ignore", ConvergenceWarning)
        # The children of a pool must not have children of their own.
        warnings.filterwarnings("ignore", "Loky-backed parallel loops cannot be called")
        os.environ["PYTHONWARNINGS"] = "ignore"
        # In this process: a child cannot use the workers of its parent, but waits for
        # them, whatever joblib is used for.
        GridSearchCV(BackpropMLP(max_iter=2), {}, cv=2).fit(X, y)
        start()()
        """
    runs = run(program, way, parent, child)
    assert runs.are_finished_once
    assert len(runs.keys) == (1 + 2 + 1) + 2 * (1 + 2 + 4 + 1)
    assert program.n_waiting == 0


@pytest.mark.slow
@pytest.mark.parametrize("way", ["os.fork, sys.exit", "Process, fork"])
def test_forks_amid_fits_of_other_threads_lose_no_run(way, program):
    # Locks that a thread of the parent holds just then, nobody releases in the child.
    code = """
        fit()
        is_over = threading.Event()
        def go_on():
            while not is_over.is_set():
                fit()
        threads = [threading.Thread(target=go_on) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            start()()
        is_over.set()
        for thread in threads:
            thread.join()
        """
    runs = run(program, way, code, "fit()")
    assert_complete(program, runs, len(program.ended))
    assert len(program.ended) > 21


@pytest.mark.slow
def test_child_lives_on_when_its_parent_has_ended(program):
    runs = run(
        program,
        "os.fork, sys.exit",
        "fit()\nstart()",
        "note('ready')\nwhile os.getppid() != 1: time.sleep(0.05)\nfit(2)",
    )
    assert_complete(program, runs, 1 + 2 * 2)


@pytest.mark.slow
def test_classifier_that_was_fitted_before_a_fork_predicts_and_finds_its_run(program):
    code = """
        clf = fit()
        expected, run_id = clf.predict(X), clf.run_id_
        if (pid := os.fork()) == 0:
            assert (clf.predict(X) == expected).all()
            assert clf.run_id_ == run_id
            sys.exit()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        clf.score(X[::2], y[::2])
        """
    program.run(code)
    assert_complete(program, program.runs(), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "way", ["os.fork, sys.exit", "Process, fork", "Process, spawn"]
)
def test_children_do_not_share_connections_to_a_database(way, program):
    if find_postgresql() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgresql("correct-horse") as address:
        program.env["MLFLOW_TRACKING_URI"] = address
        code = """
            import mlflow
            fit(2)
            wait = start()
            fit(5)
            wait()
            fit()
            keys = [
                run.data.tags["skperceptron.key"]
                for run in mlflow.search_runs(["0"], output_format="list")
                if run.info.status == "FINISHED"
            ]
            assert len(keys) == len(set(keys)) == 2 + 2 * 5 + 5 + 1, keys
            """
        prepare(program, way, "fit(5)")
        program.run("from ways import start\n" + textwrap.dedent(code))
    assert len(program.ended) == 2 + 2 * 5 + 5 + 1
    assert program.n_waiting == 0
