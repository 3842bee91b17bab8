"""Where runs wait: nothing is lost, and nobody delivers what another one does."""

import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import warnings
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from skperceptron.tracking import MLflowTracker, TrackingWarning, flush, pending
from skperceptron.tracking._notices import take_notices, tell_notices
from skperceptron.tracking.journal import _database, _journal, _owners
from skperceptron.tracking.journal._database import JournalError, LaterVersionError
from skperceptron.tracking.journal._journal import Journal, journal_in
from skperceptron.tracking.journal._record import (
    ADDRESS,
    Dataset,
    ParentRun,
    RunHead,
    RunRecord,
)
from tests.tracking.faults import X, die, fit, in_child, warned_once, y
from tests.tracking.journal_files import DEAD, START, new_key, parent_of
from tests.tracking.tracked_searches import make_search

ROOT = Path(__file__).parents[2]
STORE = "sqlite:////nowhere/mlflow.db"
ME = {_owners.this_process()}


@pytest.fixture
def db(journal):
    """The journal of the test."""
    return journal_in(journal)


def head(*parents, key=None, **changes):
    address = {**dict.fromkeys(ADDRESS), "tracking_uri": STORE}
    return RunHead(key or new_key(), address, parents, **changes)


def record(*values, is_ended=True, **fields):
    record = RunRecord("a name", START, **fields)
    for step, value in enumerate(values):
        record.add_metric("loss", value, step)
    record.end_time = START + 10**12 if is_ended else None
    return record


def claim(db, limit=100, deliverers=ME):
    return db.claim(STORE, deliverers, limit)


def names(runs):
    return [run.record.name for run in runs]


def losses(run):
    return [metric.value for metric in run.record.metrics]


@contextmanager
def other_process(code, journal):
    """Let a process do something in the journal, and wait until it prints."""
    head = (
        "import sys, time, uuid\n"
        "from pathlib import Path\n"
        "from skperceptron.tracking.journal._journal import journal_in\n"
        "from skperceptron.tracking.journal._record import *\n"
        "db = journal_in(Path(sys.argv[1]))\n"
        f"address = dict.fromkeys(ADDRESS) | {{'tracking_uri': {STORE!r}}}\n"
    )
    command = [sys.executable, "-c", head + code, str(journal)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as run:
        try:
            yield run
        finally:
            run.kill()


def fork(work):
    """Let a forked process do something, and give back its id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are threads, and all in the child
        child = os.fork()
        if child == 0:
            try:
                work()
            finally:
                os._exit(1)
    return child


# Writing


def test_what_is_written_is_claimed_as_one(db):
    whole = head()
    dataset = Dataset("abcd1234", 150, 4)
    db.write(whole, record(0.5, is_ended=False, params={"a": "b"}, dataset=dataset))
    db.write(whole, record(0.25, tags={"c": "d"}, status="FAILED"))
    (run,) = claim(db)
    assert losses(run) == [0.5, 0.25]
    assert (run.record.params, run.record.tags) == ({"a": "b"}, {"c": "d"})
    assert run.record.dataset == dataset
    assert (run.record.status, run.record.end_time) == ("FAILED", START + 10**12)
    assert (run.run_id, run.n_tries) == (None, 0)


def test_any_text_can_be_written(db):
    odd = "a\0b\ud800'\"\n\U0001f600"
    db.write(head(), RunRecord(odd, START, {odd: odd}, {odd: odd}, end_time=START))
    (run,) = claim(db)
    assert run.record.params == run.record.tags == {odd: odd}


def test_runs_above_others_come_before_them(db):
    above = parent_of("a search"), parent_of("candidate 0")
    db.write(head(*above), record())
    first, second, third = claim(db)
    assert names([first, second]) == ["a search", "candidate 0"]
    assert (second.parent, third.parent) == (above[0].key, above[1].key)
    assert third.parent_run_id is None
    db.settle([(first, "one"), (second, "two")])
    db.release([third.key])
    (third,) = claim(db)
    assert third.parent_run_id == "two"


def test_runs_above_that_another_machine_owns_are_not_written_down(db):
    above = parent_of("a search"), parent_of("candidate 0")
    db.write(head(*above, origin="client-1-deadbeef"), record())
    (fold,) = claim(db)
    assert (fold.parent, fold.is_above_elsewhere) == (above[1].key, True)
    assert fold.may_be_repeated


def test_runs_below_one_that_others_know_may_be_theirs(db):
    above = parent_of("a search")
    db.write(head(above), record())
    assert not claim(db)[1].may_be_repeated
    db.note_spread(above.key)
    search, fold = claim(db)
    assert (search.is_spread, search.may_be_repeated) == (True, False)
    assert (fold.is_spread, fold.may_be_repeated) == (False, True)


def test_run_above_begins_with_the_first_below_it(db):
    above = parent_of("a search", start_time=START)
    earlier = ParentRun(above.key, above.name, START - 5, True)
    for parent in (above, earlier):
        db.write(head(parent), record())
    assert claim(db)[0].record.start_time == START - 5


def test_everything_is_readable_by_its_owner_only(db, journal):
    db.files(db.new_files(new_key()))
    db.write(head(), record())
    for path in [journal, *journal.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_threads_and_processes_write_at_once(db, journal):
    def write():
        for _ in range(50):
            db.write(head(), record(0.5))

    code = (
        "for _ in range(50): db.write(RunHead(uuid.uuid4().hex, address),"
        " RunRecord('a name', end_time=1))\n"
        "print(flush=True)\n"
    )
    threads = [threading.Thread(target=write) for _ in range(4)]
    with other_process(code, journal) as one, other_process(code, journal) as two:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.stdout.readline() == two.stdout.readline() == "\n"
    assert len(db.waiting()) == 6 * 50


def test_forked_processes_write_beside_their_parent(db):
    stop = threading.Event()

    def write():
        while not stop.is_set():
            db.write(head(), record(0.5))

    def work():
        for _ in range(20):
            db.write(head(key=None), record(tags={"child": "yes"}))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(5):
            assert in_child(work) == 0
    finally:
        stop.set()
        thread.join()
    with db.database._transaction("BEGIN") as file:
        assert file.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        query = "SELECT count(*) FROM event WHERE body LIKE '%child%'"
        assert file.execute(query).fetchone()[0] == 5 * 20


def write_until_killed(db, acknowledged):
    params = {"x" * 50: "y" * 500}
    while True:
        whole = head()
        db.write(whole, record(*range(20), params=params))
        with acknowledged.open("a") as file:
            file.write(f"{whole.key}\n")


def test_kills_lose_nothing_that_was_written(db, tmp_path):
    dice, acknowledged = random.Random(0), tmp_path / "acknowledged"
    db.write(head(), record())
    for _ in range(10):
        children = [
            fork(lambda: write_until_killed(db, acknowledged)) for _ in range(2)
        ]
        for child in children:
            time.sleep(dice.random() * 0.2)
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
    keys = acknowledged.read_text().split()
    assert len(keys) > 100
    assert set(keys) <= {row["key"] for row in db.waiting()}


@pytest.mark.parametrize("kind", ["ext4", "nfs4"])
def test_journal_works_where_hosts_share_files(kind, db, journal, monkeypatch):
    monkeypatch.setattr(_database, "file_system_of", lambda path: kind)
    db.write(head(), record())
    Journal(journal).write(head(), record())
    assert len(claim(db, deliverers=None)) == 2
    assert (journal / "journal.db-wal").exists() == (kind == "ext4")


def test_file_system_of_a_folder_is_known():
    assert _database.file_system_of(Path("/proc/self")) == "proc"


def test_journal_that_was_removed_is_made_again(db, journal):
    db.write(head(), record())
    shutil.rmtree(journal)
    db.write(head(), record())
    assert len(claim(db)) == 1


# Claims


def test_what_is_claimed_by_a_process_is_free_when_that_has_died(db, journal):
    db.write(head(), record())
    code = (
        f"print(len(db.claim({STORE!r}, None, 10)), flush=True)\n"
        "time.sleep(600)\n"
    )  # fmt: skip
    with other_process(code, journal) as process:
        assert process.stdout.readline() == "1\n"
        assert claim(db) == []
        assert db.count_claimed(STORE) == 1
    assert db.count_claimed(STORE) == 0
    (run,) = claim(db)
    assert run.n_tries == 1  # MLflow may have it


def test_run_below_one_that_is_being_delivered_waits(db, journal):
    db.write(head(parent_of("a search")), record())
    code = (
        f"runs = db.claim({STORE!r}, None, 10)\n"
        "db.release([runs[1].key])\n"
        "print(flush=True)\n"
        "time.sleep(600)\n"
    )
    with other_process(code, journal) as process:
        process.stdout.readline()
        assert claim(db) == []
    assert len(claim(db)) == 2


def test_processes_that_claim_at_once_share_the_runs(db, journal):
    for _ in range(200):
        db.write(head(), record())
    code = (
        "n = 0\n"
        f"while runs := db.claim({STORE!r}, None, 7):\n"
        "    n += len(runs)\n"
        "    db.settle([(run, 'x') for run in runs])\n"
        "print(n, flush=True)\n"
    )
    with other_process(code, journal) as one, other_process(code, journal) as two:
        counts = [int(process.stdout.readline()) for process in (one, two)]
    assert sum(counts) == 200


def test_each_process_delivers_its_own(db):
    db.write(head(), record())
    db.write(head(deliverer=DEAD), record())
    assert len(claim(db)) == 1
    assert len(claim(db, deliverers={DEAD})) == 1


def test_the_newest_run_comes_first_and_what_has_failed_last(db):
    for name, end_time in [("failed", 4), ("old", 1), ("new", 3), ("middle", 2)]:
        db.write(head(), RunRecord(name, START, end_time=START + end_time))
        if name == "failed":
            (run,) = claim(db)
            db.postpone(run.key, "away", 0)
    assert names(claim(db)) == ["new", "middle", "old", "failed"]


def test_what_comes_while_a_run_is_delivered_stays(db):
    whole = head()
    db.write(whole, record(0.5, is_ended=False))
    (run,) = claim(db)
    db.write(whole, record(0.25))
    db.settle([(run, "the run")])
    (run,) = claim(db)
    assert losses(run) == [0.25]
    assert run.run_id == db.run_id_of(whole.key) == "the run"
    db.settle([(run, "the run")])
    assert claim(db) == []
    assert not db.is_due(whole.key)


def test_what_was_postponed_waits_for_its_time(db):
    whole = head(parent_of("a search"))
    db.write(whole, record())
    later = 2 * START
    for run in claim(db):
        db.postpone(run.key, "the store is away", later)
    assert claim(db) == []
    db.try_again(STORE, whole.key)  # and what is above it
    assert [run.n_tries for run in claim(db)] == [1, 1]


def test_what_was_released_was_not_tried(db):
    db.write(head(), record())
    (run,) = claim(db)
    db.release([run.key])
    assert [run.n_tries for run in claim(db)] == [0]


def test_run_that_may_exist_counts_as_tried(db):
    db.write(head(may_exist=True), record())
    assert claim(db)[0].n_tries == 1


def test_run_above_that_may_exist_counts_as_tried(db):
    db.write(head(replace(parent_of("a study"), may_exist=True)), record())
    assert [run.n_tries for run in claim(db)] == [1, 0]


# Artifacts


def test_artifacts_are_there_until_they_are_settled(db):
    whole = head()
    names = [db.new_files(whole.key) for _ in range(2)]
    db.write(whole, record(files=names))
    (run,) = claim(db)
    assert run.record.files == names
    db.settle_without_files(run, "the run", names[1:], "full", 0)
    (run,) = claim(db)
    assert run.record.files == names[1:]
    assert run.lacks_files
    db.settle([(run, "the run")])
    assert not db.files(names[1]).exists()


def test_artifacts_of_which_no_run_tells_are_removed_after_a_while(db):
    new, old, known = (db.new_files(new_key()) for _ in range(3))
    db.write(head(key=known[:32]), record(files=[known]))
    for name in (old, known):
        os.utime(db.files(name), (0, 0))
    db.sweep()
    assert {path.name for path in db.files("").iterdir()} == {new, known}


# Ends


def test_runs_of_the_dead_end_when_they_were_heard_of_last(db):
    above = parent_of("a search")
    ended = RunRecord("a fit", START, end_time=START + 7)
    db.write(head(above, deliverer=DEAD, origin=DEAD), ended, owner=DEAD)
    db.end_killed()
    search, fit = claim(db, deliverers=None)
    assert (search.record.status, search.record.end_time) == ("KILLED", START + 7)
    assert (search.was_killed, fit.was_killed) == (True, False)


def test_runs_of_the_living_go_on(db):
    db.write(head(parent_of("a search")), record(is_ended=False))
    db.end_killed()
    assert {run.record.end_time for run in claim(db)} == {None}


@pytest.mark.parametrize("ends_by", ["its own process", "another", "nobody"])
def test_search_that_nobody_ends_ends_with_the_run_above_it(ends_by, db):
    above, search = parent_of("a call"), parent_of("a search", is_managed=False)
    db.write(head(above, search), RunRecord("a fit", START, end_time=START + 7))
    if ends_by == "its own process":
        db.write(head(key=above.key), record())
    elif ends_by == "another":
        db.end(above.key, "FAILED", START + 10)
    ended = {run.record.name: run.record for run in claim(db)}["a search"]
    expected = None if ends_by == "nobody" else START + 7
    assert (ended.status, ended.end_time) == ("FINISHED", expected)


def test_search_that_nobody_ends_ends_with_its_process(db):
    db.write(head(parent_of("a search", is_managed=False)), record(is_ended=False))
    db.end_unmanaged(*ME)
    assert claim(db)[0].record.status == "FINISHED"


# Sweeping


def test_settled_runs_are_known_as_long_as_their_process_lives(db):
    mine, dead = head(), head(deliverer=DEAD)
    for whole in (mine, dead):
        db.write(whole, record())
    db.settle([(run, "x") for run in claim(db, deliverers=None)])
    db.sweep()
    assert (db.run_id_of(mine.key), db.run_id_of(dead.key)) == ("x", None)


def test_what_comes_after_a_run_was_forgotten_belongs_to_it(db, runs, monkeypatch):
    clf = fit()
    search = make_search(tracker=MLflowTracker()).fit(X, y)
    assert flush() == 0
    ids = {run.run_id for run in runs.at_once()}
    monkeypatch.setattr(_journal, "SECONDS_UNTIL_FORGOTTEN", 0)
    db.sweep()
    assert db.run_id_of(clf._run_ticket.key) is None
    assert clf.run_id_ in ids  # the store is asked
    scores = [clf.score(X + 0.5, y), search.score(X + 0.5, y)]
    found = runs()
    assert {run.run_id for run in found} == ids
    names = "HillClimbPerceptron", "refit"
    assert scores == [run.latest("test_score") for run in found if run.name in names]


def test_settled_run_is_known_as_long_as_one_below_it_waits(db):
    above = parent_of("a search")
    db.write(head(key=above.key, deliverer=DEAD), record())
    db.settle([(run, "x") for run in claim(db, deliverers=None)])
    db.write(head(above, deliverer=DEAD), record())
    db.sweep()
    (below,) = claim(db, deliverers=None)
    assert below.parent_run_id == "x"


# Files that are no journals


def damage(path, dice):
    content = bytearray(path.read_bytes())
    for _ in range(200):
        content[dice.randrange(len(content))] = dice.randrange(256)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "content",
    [b"nonsense" * 1000, b"SQLite format 3\0" + bytes(5000), bytes(4096)],
    ids=["text", "half a header", "zero bytes"],
)
def test_file_that_is_no_journal_is_put_aside(content, db, journal, runs):
    journal.mkdir(mode=0o700)
    path = journal / "journal.db"
    path.write_bytes(content)
    path.chmod(0o600)
    with warned_once("was put aside"):
        fit()
    (aside,) = journal.glob("journal.db.corrupt-*")
    assert aside.read_bytes() == content
    assert [run.status for run in runs()] == ["FINISHED"]


def test_foreign_tables_are_put_aside(db, journal):
    db.write(head(), record())
    with db.database._transaction("BEGIN") as file:
        file.execute("CREATE TRIGGER x AFTER INSERT ON run BEGIN DELETE FROM run; END")
    db.database.close()
    db.write(head(), record())
    assert len(claim(db)) == 1
    with pytest.warns(TrackingWarning, match="tables are not those of a journal"):
        tell_notices()


def test_journal_that_is_damaged_while_it_is_used_loses_no_new_run(db, journal):
    dice = random.Random(0)
    for _ in range(10):
        for _ in range(30):
            db.write(head(), record(0.5))
        db.database.close()
        damage(journal / "journal.db", dice)
        new = head()
        db.write(new, record(0.25))
        found = [row["key"] for row in db.waiting()]
        assert new.key in found
        list(take_notices())  # whether it was put aside depends on the damage
        shutil.rmtree(journal)


def test_journal_of_a_later_version_is_left_alone(journal, runs, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    journal.mkdir(mode=0o700)
    path = journal / "journal.db"
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 2")
        file.execute("CREATE TABLE something (else_ INTEGER)")
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(LaterVersionError):
        Journal(journal).prepare()
    with pytest.warns(TrackingWarning, match="later version"):
        fit()
    with pytest.warns(TrackingWarning, match="later version"):
        assert flush() == 0
    assert pending() == 0
    assert path.read_bytes() == before
    assert len(runs.at_once()) == 1


# Folders of others


def make_writable(journal, monkeypatch):
    journal.chmod(0o770)


def give_away(journal, monkeypatch):
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)


def link(journal, monkeypatch):
    journal.rename(journal.with_name("elsewhere"))
    journal.symlink_to(journal.with_name("elsewhere"))


def link_file(journal, monkeypatch):
    (journal / "journal.db").rename(journal / "other.db")
    (journal / "journal.db").symlink_to(journal / "other.db")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (make_writable, "can be written by other users"),
        (give_away, "belongs to another user"),
        (link, "is a link"),
        (link_file, "is a link"),
    ],
)
def test_folder_that_others_can_write_is_refused(change, reason, journal, monkeypatch):
    Journal(journal).write(head(), record())
    change(journal, monkeypatch)
    with pytest.raises(JournalError, match=reason):
        Journal(journal).write(head(), record())
    with pytest.raises(JournalError, match=reason):
        claim(Journal(journal))
    if journal.is_symlink():
        journal.unlink()


def test_fit_goes_on_where_the_folder_is_refused(journal, runs, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    journal.mkdir(mode=0o777)
    journal.chmod(0o777)
    with pytest.warns(TrackingWarning, match="can be written by other users"):
        fit()
    assert len(runs.at_once()) == 1


# Processes


@pytest.mark.parametrize(
    "name", [pytest.param("plain", marks=pytest.mark.slow), "a.b.local"]
)
def test_process_is_alive_until_it_ends_whatever_its_host_is_called(name, db, journal):
    code = (
        f"import socket; socket.gethostname = lambda: {name!r}\n"
        "db.prepare()\n"
        "from skperceptron.tracking.journal import _owners\n"
        "print(_owners.this_process(), flush=True)\n"
        "time.sleep(600)\n"
    )
    with other_process(code, journal) as one, other_process(code, journal) as other:
        owners = [process.stdout.readline().strip() for process in (one, other)]
        assert all(_owners.is_alive(journal, owner) for owner in owners)
        os.kill(one.pid, signal.SIGKILL)
        one.wait()
        assert not _owners.is_alive(journal, owners[0])
        assert _owners.is_alive(journal, owners[1])
    assert not _owners.is_alive(journal, owners[1])
    db.sweep()
    assert set(os.listdir(journal / "processes")) <= ME


def test_process_shows_life_again_when_its_journal_was_removed(db, journal):
    db.prepare()
    shutil.rmtree(journal)
    db.prepare()
    assert (journal / "processes" / _owners.this_process()).exists()


def test_process_without_a_name_is_dead(journal):
    for name in ("", "..", "a\0b", "x" * 5000, "\ud800"):
        assert not _owners.is_alive(journal, name)


def test_killed_child_loses_nothing_and_leaves_its_parent_alone(db):
    def work():
        db.write(head(), record(tags={"child": "yes"}))
        die()

    db.write(head(), record())
    assert in_child(work) == signal.SIGKILL
    db.write(head(), record())
    assert len(claim(db, deliverers=None)) == 3
