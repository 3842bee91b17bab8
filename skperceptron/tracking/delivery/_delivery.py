"""Makes a run of MLflow from one that waits in the journal."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from skperceptron.tracking._credentials import hide_credentials
from skperceptron.tracking._notices import note
from skperceptron.tracking._reasons import reason_of
from skperceptron.tracking.delivery import _runs, _store, _ties
from skperceptron.tracking.delivery._artifacts import (
    FilesAwayError,
    Missing,
    Places,
    will_last,
)
from skperceptron.tracking.delivery._model_building import replace_by_mlflow_model
from skperceptron.tracking.delivery._run_context import with_context
from skperceptron.tracking.delivery._transaction import (
    has_transactions,
    one_transaction,
)
from skperceptron.tracking.journal import _owners
from skperceptron.tracking.journal._journal import Journal, WaitingRun
from skperceptron.tracking.journal._kept_model import NoModelError
from skperceptron.tracking.journal._record import TEST_SCORE, now
from skperceptron.tracking.journal._source import SOURCE_TAG


class WaitsForAboveError(Exception):
    """A run cannot be delivered before its parent run."""


class Delivery:
    """Delivers runs to one store, in one thread, for the process `owner`."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.places = Places()
        self._told: set[object] = set()
        self._missing: set[str] = set()

    def deliver_together(self, runs: list[WaitingRun]) -> dict[str, str]:
        """Deliver simple runs of a batch in one transaction.

        These have no files, and nobody else can have created them. The others are left
        as they are. If the store raises an error, usually nothing is delivered.

        Returns
        -------
        dict of str
            The MLflow ids of the delivered runs, by key. The caller settles them.
        """
        fit = [run for run in runs if _is_simple(run)]
        if len(fit) < 2:
            return {}
        for run in fit:
            _require_store(run)
        client = _store.client_of(fit[0].address)
        uri = _store.tracking_uri_of(fit[0].address)
        # Each folder has a default store of its own.
        fit = [run for run in fit if _store.tracking_uri_of(run.address) == uri]
        if not has_transactions(client):
            return {}
        for run in fit:  # created before the transaction, which may be rolled back
            _runs.experiment_of(client, run.address)
        run_ids: dict[str, str] = {}
        with one_transaction(client):
            for run in fit:
                with suppress(WaitsForAboveError):  # its parent has files, say
                    run_ids[run.key] = self._store(run, run_ids)
        for run in fit:
            if run.key in run_ids:
                run_ids[run.key] = _tie(run, run_ids[run.key])
        return run_ids

    def deliver(
        self, journal: Journal, run: WaitingRun, run_ids: dict[str, str]
    ) -> None:
        """Deliver what is new of a run, and note that in the journal and in `run_ids`.

        Raises
        ------
        WaitsForAboveError
            When its parent run is not delivered.

        FilesAwayError
            When all is stored but the run's files, which are to be tried again.

        Exception
            Any error of the store.
        """
        _require_store(run)
        is_new = run.run_id is None and run.n_tries == 0
        try:
            run_id = self._store(run, run_ids)
            missing = self._attach(journal, run, run_id, is_new)
            _runs.tell_model_of_score(run.address, run_id, run.record)
            if run.record.end_time is not None and not _ends_at_once(run):
                _end(run, run_id)
            run_id = run_ids[run.key] = _tie(run, run_id)
        except Exception as error:
            if not _has_lost(run, error):
                raise
            journal.settle([(run, str(run.run_id))])
            return
        if missing is not None:
            self._do_without(journal, run, run_id, missing)
        elif run.lacks_files:
            _runs.note_not_logged(run.address, run_id, "")
        journal.settle([(run, run_id)])

    def _store(self, run: WaitingRun, run_ids: dict[str, str]) -> str:
        """Write to a run, and create it if nobody has done so."""
        address, record, ends = run.address, run.record, _ends_at_once(run)
        if run.origin == self.owner and _tells_its_origin(run):
            record.tags = with_context(record.tags)
        if run.run_id is not None:
            return _runs.deliver(record, address, run.key, run_id=run.run_id, ends=ends)
        if run.parent is not None and run.may_be_repeated:
            record.tags[_ties.PARENT_TAG] = run.parent
        above = self._run_above(run, run_ids)
        if run.n_tries == 0:
            return _runs.deliver(record, address, run.key, above, ends=ends)
        # Another process may have created it, or be about to.
        _store.client_of(address)  # before the lock: it takes the same one itself
        with _store.store_lock(_store.tracking_uri_of(address)):
            # Of several attempts at the same task, find this one.
            began_at = record.start_time if run.is_above_elsewhere else None
            found = _ties.find_run(address, run.key, began_at)
            return _runs.deliver(
                record, address, run.key, above, run_id=found, ends=ends
            )

    def _run_above(self, run: WaitingRun, run_ids: dict[str, str]) -> str | None:
        if run.parent is None:
            address = run.address
            return address["parent_run_id"] or self._environment_run(run)
        above = run_ids.get(run.parent) or run.parent_run_id
        if above is None and not run.is_above_elsewhere:
            raise WaitsForAboveError(f"the run above {run.record.name} is not there")
        return above

    def _environment_run(self, run: WaitingRun) -> str | None:
        """Return the run that the environment names, if the store has it."""
        run_id = run.address["environment_run_id"]
        if run_id is None:
            return None
        client = _store.client_of(run.address)
        if _runs.experiment_of_environment_run(client, run.address) is not None:
            return run_id
        if run_id not in self._missing:
            self._missing.add(run_id)
            note(
                f"MLFLOW_RUN_ID names the run {run_id}, which the store does not have, "
                "or no longer. Runs are logged below no other run. Set it to a run of "
                "mlflow.get_tracking_uri(), or remove it from the environment."
            )
        return None

    # Files

    def _attach(
        self, journal: Journal, run: WaitingRun, run_id: str, is_new: bool
    ) -> Missing | None:
        """Log the files of a run, and return those that could not be logged."""
        names = [name for name in run.record.files if journal.files(name).exists()]
        if not names:
            return None
        client = _store.client_of(run.address)
        experiment_id = _runs.experiment_of(client, run.address)
        if (known := self.places.reason(experiment_id)) is not None:
            return Missing(names, experiment_id, known, None)
        began_at = time.monotonic()
        for i, name in enumerate(names):
            try:
                self._attach_folder(run, run_id, journal.files(name), is_new)
            except Exception as error:  # any error of an artifact store
                seconds = time.monotonic() - began_at
                return Missing(names[i:], experiment_id, error, seconds)
        self.places.note_success(experiment_id)
        return None

    def _attach_folder(
        self, run: WaitingRun, run_id: str, folder: Path, is_new: bool
    ) -> None:
        address, record = run.address, run.record
        try:
            left_out = _runs.attach(address, run_id, folder, record, is_new=is_new)
        except Exception as error:
            if not _runs.may_be_hiccup(error):
                raise
            left_out = _runs.attach(address, run_id, folder, record)
        for reason in left_out:
            note(f"The run {run_id} of {record.name} is logged without {reason}.")

    def _do_without(
        self, journal: Journal, run: WaitingRun, run_id: str, missing: Missing
    ) -> None:
        """Let files that could not be logged wait, or put them aside.

        Raises
        ------
        FilesAwayError
            When they wait. Everything else of the run is delivered.
        """
        folders = [journal.files(files) for files in missing.files]
        names = ", ".join(sorted({i.name for f in folders for i in f.iterdir()}))
        text = f"{names}: {reason_of(missing.error)}"
        if will_last(missing.error, run.address):
            self._put_aside(journal.not_logged, run, run_id, missing, folders, text)
            return
        experiment_id = missing.experiment_id
        if missing.seconds is not None:
            self.places.note(experiment_id, missing.error, missing.seconds)
        if not run.lacks_files:
            text = f"{text}. They will be tried again"
            _runs.note_not_logged(run.address, run_id, text)
        next_try = now() + int(1000 * self.places.retry_after(experiment_id))
        reason = reason_of(missing.error)
        journal.settle_without_files(run, run_id, missing.files, reason, next_try)
        name, location = _runs.place_of_files(run.address)
        raise FilesAwayError(
            f"Files of runs of the experiment {name}, such as models, could not be "
            f"logged to {hide_credentials(location)}: {reason}. The runs are there "
            f"without them. They wait in the journal {journal.folder} and will be "
            "tried again",
            cause=missing.cause,
            was_stored=not run.lacks_files,
        )

    def _put_aside(
        self,
        aside: Path,
        run: WaitingRun,
        run_id: str,
        missing: Missing,
        folders: list[Path],
        text: str,
    ) -> None:
        """Move files to a folder where the user finds them."""
        aside.mkdir(mode=0o700, exist_ok=True)
        places = [aside / folder.name for folder in folders]
        text = f"{text}. They are in {', '.join(map(str, places))}"
        _runs.note_not_logged(run.address, run_id, text, for_good=True)
        for folder, place in zip(folders, places, strict=True):
            self._build_model(folder / _runs.MODEL, run_id)
            folder.rename(place)
        if missing.cause in self._told:
            return
        self._told.add(missing.cause)
        name, location = _runs.place_of_files(run.address)
        note(
            f"Runs of the experiment {name} are logged without their files, such as "
            f"models, which {hide_credentials(location)} does not take: "
            f"{reason_of(missing.error)}. They are kept in {aside}; the tag "
            f"{_runs.NOT_LOGGED_TAG} of a run tells where. "
            "mlflow.MlflowClient().log_artifacts(run_id, folder) logs them once that "
            "is mended."
        )

    def _build_model(self, folder: Path, run_id: str) -> None:
        """Build MLflow's model among the files that are put aside."""
        if not os.path.lexists(folder):
            return
        try:
            replace_by_mlflow_model(folder)
        except NoModelError as error:
            if folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder)
            else:
                folder.unlink()
            note(f"The model of the run {run_id} is removed: it {error}.")


def _tells_its_origin(run: WaitingRun) -> bool:
    """Return whether a run is to get the tags of its origin now.

    Only new topmost runs and runs with a source tag do: there are too many others.
    """
    is_topmost = run.run_id is None and run.parent is None
    return is_topmost or SOURCE_TAG in run.record.tags


def _is_simple(run: WaitingRun) -> bool:
    """Return whether a run exists or certainly does not, and needs no further calls."""
    is_known = run.run_id is not None or run.n_tries == 0
    has_model = run.record.files or any(
        metric.key == TEST_SCORE for metric in run.record.metrics
    )
    return is_known and not (run.was_killed or has_model)


def _ends_at_once(run: WaitingRun) -> bool:
    """Return whether a run has ended, was not killed, and has no files to log first."""
    comes_first = run.was_killed or run.record.files
    return run.record.end_time is not None and not comes_first


def _end(run: WaitingRun, run_id: str) -> None:
    # A run whose process was killed may have been ended by another process.
    _runs.end_run(run.address, run_id, run.record, unless_ended=run.was_killed)


def _require_store(run: WaitingRun) -> None:
    """Refuse to create a store for a search whose store is on another machine."""
    if run.is_foreign and not _owners.is_of_this_host(run.origin):
        _store.require_store(run.address)


def _tie(run: WaitingRun, run_id: str) -> str:
    """Tie a run to parent and child runs that other machines may have stored.

    Returns the id of the run, or of the one that is kept instead.
    """
    has_ended = run.record.end_time is not None
    if run.is_spread and has_ended:
        _ties.gather(run.address, run.key, run_id)
    if run.is_above_elsewhere and (has_ended or run.run_id is None):
        return _ties.tie(run.address, run.key, run_id, str(run.parent))
    return run_id


def _has_lost(run: WaitingRun, error: Exception) -> bool:
    """Return whether a run is refused because another attempt at its task is kept."""
    return (
        run.may_be_repeated
        and run.run_id is not None
        and _runs.is_refusal(error)
        and _ties.is_deleted(run.address, run.run_id)
    )
