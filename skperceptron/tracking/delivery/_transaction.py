"""Several calls of MLflow's client in one transaction of its database.

MLflow commits after each call, and a disk takes milliseconds for that. In one
transaction a run takes a third less time and is in the store as a whole or not at all.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment
    from sqlalchemy.orm import Session

T = TypeVar("T")


def in_one_transaction(client: MlflowClient, store: Callable[[], T]) -> T:
    """Call a function in one transaction, if the client has a database.

    Inside of `one_transaction` it becomes a part of that. The function is called a
    second time, without transaction, if it cannot be done in one.
    """
    sessions = _sessions_of(client)
    if sessions is None or sessions.is_shared:
        return store()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import IntegrityError

    try:
        with sessions.one():
            return store()
    except MlflowException as error:
        if not (sessions.gave_up or isinstance(error.__cause__, IntegrityError)):
            raise
        # Two fits to the same new data, for one, cannot both create its entry.
        return store()


def has_transactions(client: MlflowClient) -> bool:
    """Tell whether a client has a database of its own."""
    return _sessions_of(client) is not None


@contextmanager
def one_transaction(client: MlflowClient) -> Iterator[None]:
    """Let all that this thread does with a client in the block be one transaction.

    If the store cannot be reached or refuses something, nothing is stored.
    """
    sessions = _sessions_of(client)
    if sessions is None:
        raise ValueError("the client has no database")
    with sessions.one():
        yield


class _Sessions:
    """Stands in for what makes the sessions of MLflow's `SqlAlchemyStore`.

    Each of its methods opens a session. Here a thread can give all of them the same
    one; the sessions of other threads are what they were. Whoever creates a run looks
    its experiment up, which takes a fifth of the time of a run: here, once in a
    transaction.

    Parameters
    ----------
    store : SqlAlchemyStore
        The store, which uses it from now on.
    """

    def __init__(self, store: Any) -> None:
        self._make: Callable[..., AbstractContextManager[Session]]
        self._make = store.ManagedSessionMaker
        self._get_experiment: Callable[[str], Experiment] = store.get_experiment
        self._of_thread = threading.local()
        # Older versions of MLflow know no sessions that only read.
        is_told = "read_only" in inspect.signature(self._make).parameters
        self._to_write: dict[str, bool] = {"read_only": False} if is_told else {}
        store.ManagedSessionMaker = self
        store.get_experiment = self.get_experiment

    @contextmanager
    def __call__(self, *args: Any, **kwargs: Any) -> Iterator[Session]:
        shared: Session | None = getattr(self._of_thread, "session", None)
        if shared is not None:
            yield shared
            # As a session that ends would: what comes next reads what is stored, not
            # texts where texts were given for numbers. SQLite compares both.
            if shared.get_bind().dialect.name != "sqlite":
                shared.flush()
                shared.expire_all()
            return
        with self._make(*args, **kwargs) as session:
            yield session

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Look up an experiment, or remember it if this thread has done so before."""
        known: dict[str, Experiment] | None
        known = getattr(self._of_thread, "experiments", None)
        if known is None:
            return self._get_experiment(experiment_id)
        if experiment_id not in known:
            known[experiment_id] = self._get_experiment(experiment_id)
        return known[experiment_id]

    @contextmanager
    def one(self) -> Iterator[None]:
        """Let all that this thread does in the block be one transaction."""
        with self._make(**self._to_write) as session:
            # Some methods commit early, to find errors, and go back in case of one, to
            # go on from there. That would undo what others have written before.
            vars(session).update(commit=session.flush, rollback=self._give_up)
            self._of_thread.session = session
            self._of_thread.experiments = {}
            self._of_thread.gave_up = False
            try:
                yield
            finally:
                self._of_thread.session = None
                self._of_thread.experiments = None
                del session.commit, session.rollback

    @property
    def is_shared(self) -> bool:
        """Whether this thread is in one."""
        return getattr(self._of_thread, "session", None) is not None

    @property
    def gave_up(self) -> bool:
        """Whether the store wanted to go back in the latest block of this thread."""
        return getattr(self._of_thread, "gave_up", False)

    def _give_up(self) -> None:
        self._of_thread.gave_up = True
        raise RuntimeError("this cannot be stored in one transaction with other things")


def _sessions_of(client: MlflowClient) -> _Sessions | None:
    store = getattr(getattr(client, "_tracking_client", None), "store", None)
    make = getattr(store, "ManagedSessionMaker", None)
    if store is None or make is None:
        return None
    return make if isinstance(make, _Sessions) else _Sessions(store)
