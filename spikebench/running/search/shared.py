"""A study on a database server that several drivers share: ``storage: postgresql://...``.

All that drivers decide (who takes which trial, whether there is one more to take, whose trial is lost) is decided while they hold
one row of the study, which the server gives back if its holder dies. A driver beats for its trials; one whose beats stop has lost
them, and they wait again, with the values that they have. A server that is restarted is waited for.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any

from spikebench.core.errors import InputError
from spikebench.core.process import Process, this_process

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial
    from sqlalchemy import Engine

BEAT = 15
"""Seconds from one heartbeat of a trial to the next."""
GRACE = 120
"""After so many seconds without one, a trial's driver is taken for gone."""
PATIENCE = 300.0
"""Seconds that a server may be away."""
LOST = 3
"""A trial that lost so many drivers has failed: it may be what ends them."""
DRIVER, LOSSES = "driver", "lost"
"""User attributes of a trial: the process that has it, and how many of those were lost."""


def open_storage(url: str) -> Any:
    """Optuna's storage at ``url``, which waits where the server is away. Raises InputError where its driver is not installed."""
    from optuna.storages import RDBStorage

    class Patient(RDBStorage):  # type: ignore[misc]
        """Every question is asked again until the server is there to answer it."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._asking = threading.local()
            super().__init__(*args, **kwargs)

    for name, member in vars(RDBStorage).items():
        if name.startswith(("get_", "set_", "create_new", "record_", "_get_", "_set_trial", "_create_new")) and callable(member):
            setattr(Patient, name, _patient(member))
    # SQLAlchemy's word for PostgreSQL alone means the driver that psycopg has replaced.
    scheme, _, rest = url.partition("://")
    known = f"postgresql+psycopg://{rest}" if scheme in ("postgresql", "postgres") else url
    try:
        return Patient(known, engine_kwargs={"pool_pre_ping": True}, heartbeat_interval=BEAT, grace_period=GRACE)
    except ImportError as error:
        needed = (
            "`pip install spikebench[postgresql]`" if known.startswith("postgresql+psycopg:") else f"{error.__cause__ or error}"
        )
        raise InputError(f"storage: the driver of {scheme} is not installed: {needed}") from error


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def ask(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(self._asking, "now", False):  # inside another one, whose transaction is begun anew as a whole
            return method(self, *args, **kwargs)
        self._asking.now = True
        try:
            return waited_for(lambda: method(self, *args, **kwargs))
        finally:
            self._asking.now = False

    return ask


def waited_for(ask: Callable[[], Any]) -> Any:
    """What ``ask`` answers, asked again for as long as the server is away; what else it raises is raised."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    until = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except (SQLAlchemyError, StorageInternalError) as error:
            if not _is_away(error) or time.monotonic() > until:
                raise
            time.sleep(0.5)


def _is_away(error: BaseException) -> bool:
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    cause = error if isinstance(error, DBAPIError) else error.__cause__
    return isinstance(cause, DBAPIError) and (
        cause.connection_invalidated or isinstance(cause, (OperationalError, InterfaceError))
    )


class Drivers:
    """This driver among those of one study."""

    def __init__(self, study: Study, engine: Engine) -> None:
        self.study = study
        self._engine = engine
        self._deciding = False
        self._mine: set[int] = set()
        self._seen_silent: dict[int, float] = {}
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="spikebench-search", daemon=True)
        self._heart.start()

    def close(self) -> None:
        self._ended.set()
        self._heart.join(timeout=BEAT)

    @contextlib.contextmanager
    def deciding(self) -> Iterator[None]:
        """While no other driver decides anything. May be entered again inside."""
        if self._deciding:
            yield
            return
        from sqlalchemy.exc import SQLAlchemyError

        connection = waited_for(self._hold)
        self._deciding = True
        try:
            yield
        finally:
            self._deciding = False
            # A server that was restarted has let go of it by itself.
            with contextlib.suppress(SQLAlchemyError):
                connection.rollback()
            with contextlib.suppress(SQLAlchemyError):
                connection.close()

    def _hold(self) -> Any:
        from optuna.storages._rdb.models import StudyUserAttributeModel as Attribute
        from sqlalchemy import select

        row = select(Attribute.study_user_attribute_id).where(
            Attribute.study_id == self.study._study_id, Attribute.key == "search"
        )
        connection = self._engine.connect()
        try:
            connection.execute(row.with_for_update()).one()
        except BaseException:
            connection.close()
            raise
        return connection

    def take(self, trial_id: int) -> None:
        """It is this driver's from now on."""
        storage: Any = self.study._storage
        storage.record_heartbeat(trial_id)
        storage.set_trial_user_attr(trial_id, DRIVER, str(this_process()))
        self._mine.add(trial_id)

    def leave(self, trial_id: int) -> None:
        self._mine.discard(trial_id)

    def is_mine(self, trial: FrozenTrial) -> bool:
        return trial._trial_id in self._mine

    def put_back_lost(self) -> None:
        """Trials whose driver is gone wait again; one that has lost ``LOST`` drivers has failed."""
        from optuna.trial import TrialState

        storage: Any = self.study._storage
        with self.deciding():
            for trial in self._lost():
                losses = int(trial.user_attrs.get(LOSSES, 0)) + 1
                storage.set_trial_user_attr(trial._trial_id, LOSSES, losses)
                if losses < LOST:
                    storage.set_trial_state_values(trial._trial_id, state=TrialState.WAITING)
                else:
                    storage.set_trial_user_attr(trial._trial_id, "reason", f"{losses} drivers were lost over it")
                    storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL)

    def _lost(self) -> list[FrozenTrial]:
        from optuna.trial import TrialState

        storage: Any = self.study._storage
        running = storage.get_all_trials(self.study._study_id, deepcopy=False, states=(TrialState.RUNNING,))
        others = [trial for trial in running if not self.is_mine(trial)]
        if not others:
            return []
        stale = set(storage._get_stale_trial_ids(self.study._study_id))
        return [trial for trial in others if trial._trial_id in stale or _died_here(trial) or self._stays_silent(trial)]

    def _stays_silent(self, trial: FrozenTrial) -> bool:
        """A driver that died between taking a trial and saying so has left no beat that could grow old."""
        if DRIVER in trial.user_attrs:
            return False
        since = self._seen_silent.setdefault(trial._trial_id, time.monotonic())
        return time.monotonic() - since > GRACE

    def _beat(self) -> None:
        storage: Any = self.study._storage
        while not self._ended.wait(BEAT):
            for trial_id in list(self._mine):
                with contextlib.suppress(Exception):  # the server is away; whoever needs it says so
                    storage.record_heartbeat(trial_id)


def _died_here(trial: FrozenTrial) -> bool:
    """Of another host it is known by its beats alone."""
    try:
        return Process.parse(str(trial.user_attrs.get(DRIVER))).alive is False
    except ValueError:
        return False
