"""Several drivers of one study on a real PostgreSQL: no trial twice, none stuck, none lost, whatever is killed or restarted."""

from __future__ import annotations

import dataclasses
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikebench.core import yaml_nodes
from spikebench.core.errors import InputError, StorageError
from spikebench.core.search import Search
from spikebench.core.suite_reader import from_document
from spikebench.reading.model.frame import load_results
from spikebench.reading.model.trials import Trials, load_trials
from spikebench.running.search import shared
from spikebench.running.search.study import SearchStudy, study_errors
from spikebench.running.search.twins import Twins
from tests import warm
from tests.running.search.server import Server, binaries

pytestmark = pytest.mark.skipif(binaries() is None, reason="no PostgreSQL server is installed (apt-get install postgresql)")
pytest.importorskip("psycopg")

SUITE = """\
suite: NAME
dataset: digits
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 1}}
train: {epochs: 1, batch_size: 256, lr: 4.0e-3}
measure: [accuracy, {activity: {samples: 8}}]
energy: [spikformer-paper]
report: {formats: []}
search:
  storage: URL
  space:
    dim: {choice: [8, 16]}
    lr: {float: [1.0e-3, 1.0e-2]}
  objectives: [accuracy, "energy{profile=spikformer-paper}"]
  sampler: {tpe: {startup_trials: 3}}
  trials: 5
"""
IDENTITY = {"space": {"dim": [8, 16]}, "objectives": ["accuracy"], "constraints": [], "epochs": 2}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def search_of(server: Server, **changes: str) -> Search:
    text = SUITE.replace("NAME", "s").replace("URL", server.url)
    for old, new in changes.items():
        text = text.replace(old, new)
    search = from_document(yaml_nodes.parse(text, "s.yaml")).search
    assert search is not None
    return search


Open = Any


@pytest.fixture
def driver(server: Server, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens this test's study as one more driver; closed at the end."""
    opened: list[SearchStudy] = []

    def make(identity: dict[str, Any] = IDENTITY, search: Search | None = None) -> SearchStudy:
        folder = tmp_path / str(len(opened))
        folder.mkdir()
        opened.append(SearchStudy(folder, request.node.name, search or search_of(server), identity))
        return opened[-1]

    yield make
    for study in opened:
        study.close()


def states(study: SearchStudy) -> list[str]:
    return [trial.state.name for trial in study.trials]


def belongs_to(study: SearchStudy, trial: Any, who: str) -> None:
    """As if a driver that is no process of this host had taken the trial."""
    assert study.drivers is not None
    study.drivers.leave(trial._trial_id)
    trial.set_user_attr(shared.DRIVER, who)


# -- who takes what ----------------------------------------------------------------------------------------------------------


def test_drivers_that_take_turns_draw_what_one_alone_would(driver: Open, tmp_path: Path, server: Server) -> None:
    one, other = driver(), driver()
    drawn = [(one, other)[index % 2].ask() for index in range(6)]
    assert [trial.number for trial, _ in drawn] == list(range(6))
    alone = SearchStudy(tmp_path, "alone", dataclasses.replace(search_of(server), storage=None), IDENTITY)
    assert [alone.ask()[1] for _ in range(3)] == [values for _, values in drawn[:3]]  # before the sampler looks at other trials
    alone.close()


def test_many_at_once_never_take_more_than_there_are(driver: Open) -> None:
    studies, taken = [driver() for _ in range(3)], []

    def take(study: SearchStudy) -> None:
        while True:
            with study.deciding():
                done, running = study.counts()
                if done + running >= 7:
                    return
                trial, _ = study.ask()
            taken.append(trial.number)
            if trial.number % 2:
                study.tell(trial, [0.5, 1.0])

    threads = [threading.Thread(target=take, args=(study,)) for study in studies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(7))


def test_a_network_that_another_driver_runs_is_waited_for_and_copied(driver: Open) -> None:
    one, other = driver(), driver()
    (first, _), (second, values), (third, _) = one.ask(), other.ask(), other.ask()
    assert Twins(one).claim(first, "cell") is None
    twins = Twins(other)
    assert other.drivers is not None
    other.drivers.is_mine = lambda trial: trial.number != first.number  # type: ignore[method-assign]  # of one process here
    leader = twins.claim(second, "cell")
    assert leader is not None
    assert leader.number == first.number
    assert twins.claim(third, "other cell") is None
    twins.follow(second, values, "the cell", leader)  # type: ignore[arg-type]
    assert list(twins.ready()) == []
    one.tell(first, [0.5, 2.0])
    ((follower, found),) = twins.ready()
    assert (follower.trial.number, list(found.values)) == (second.number, [0.5, 2.0])  # type: ignore[union-attr]
    assert twins.followers == []
    # One that comes later needs not wait, and one that waits leads nobody.
    late, _ = other.ask()
    assert twins.claim(late, "cell").number == first.number  # type: ignore[union-attr]


def test_what_a_follower_waited_for_is_done_here_if_nothing_came_of_it(driver: Open) -> None:
    one, other = driver(), driver()
    (first, _), (second, values) = one.ask(), other.ask()
    Twins(one).claim(first, "cell")
    twins = Twins(other)
    assert other.drivers is not None
    other.drivers.is_mine = lambda trial: trial.number == second.number  # type: ignore[method-assign]
    leader = twins.claim(second, "cell")
    assert leader is not None
    twins.follow(second, values, "the cell", leader)  # type: ignore[arg-type]
    one.put_back()
    assert [found for _, found in twins.ready()] == [None]
    assert twins.claim(second, "cell") is None


# -- who is lost -------------------------------------------------------------------------------------------------------------


def test_a_driver_that_beats_no_more_loses_its_trials_which_wait_with_their_values(driver: Open) -> None:
    one = driver()
    trial, values = one.ask()
    belongs_to(one, trial, "elsewhere-1-1")
    other = driver()
    other.put_back()
    assert states(other) == ["RUNNING"]
    earlier = (
        f"UPDATE trial_heartbeats SET heartbeat = heartbeat - interval '{shared.GRACE + 1} s' WHERE trial_id = {trial._trial_id}"
    )
    with other._engine.begin() as connection:
        connection.exec_driver_sql(earlier)
    other.put_back()
    assert states(other) == ["WAITING"]
    again, same = other.ask()
    assert (again.number, same) == (trial.number, values)
    # Whoever was taken for gone and tells all the same changes nothing that has been told.
    other.tell(again, [0.5, 1.0])
    assert one.tell(trial, [0.9, 9.0]).values == [0.5, 1.0]


def test_a_driver_of_this_host_that_died_is_known_at_once_and_three_deaths_are_a_failure(driver: Open) -> None:
    one = driver()
    for _ in range(3):
        trial, _ = one.ask()
        assert trial.number == 0
        ended = subprocess.Popen(["true"])
        ended.wait()
        belongs_to(one, trial, f"{shared.this_process().host}-{ended.pid}-1")
        one.put_back()
    assert states(one) == ["FAIL"]
    assert one.trials[0].user_attrs["reason"] == "3 drivers were lost over it"


def test_a_driver_that_died_before_it_said_anything_is_not_waited_for_for_ever(
    driver: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "GRACE", 0.2)
    one = driver()
    one.study.ask()  # killed right behind it: no beat, no name
    one.put_back()
    assert states(one) == ["RUNNING"]
    time.sleep(0.3)
    one.put_back()
    assert states(one) == ["WAITING"]


def test_a_server_that_is_restarted_is_waited_for(driver: Open, server: Server) -> None:
    one = driver()
    trial, _ = one.ask()
    with one.deciding():
        server.stop("immediate")
        threading.Timer(1.5, server.start).start()
        second, _ = one.ask()
    one.tell(trial, [0.5, 1.0])
    one.tell(second, [0.5, 1.0])
    assert states(one) == ["COMPLETE", "COMPLETE"]
    with one.deciding():  # the row that the old server has let go of
        assert one.counts() == (2, 0)


# -- what is refused ---------------------------------------------------------------------------------------------------------


def test_a_study_of_another_search_and_one_of_somebody_else_are_refused(driver: Open, server: Server, tmp_path: Path) -> None:
    driver()
    with pytest.raises(InputError, match=r"holds another search \(epochs: 2 there, 3 here\)"):
        driver({**IDENTITY, "epochs": 3})
    import optuna

    storage = shared.open_storage(server.url)
    theirs = optuna.create_study(storage=storage, study_name="theirs")
    theirs.tell(theirs.ask(), 1.0)
    with pytest.raises(InputError, match="was not made by spikebench"):
        SearchStudy(tmp_path, "theirs", search_of(server), IDENTITY)


def test_a_folder_with_a_study_of_its_own_is_refused(server: Server, tmp_path: Path) -> None:
    SearchStudy(tmp_path, "own", dataclasses.replace(search_of(server), storage=None), IDENTITY).close()
    with pytest.raises(StorageError, match="a study of this folder alone"):
        SearchStudy(tmp_path, "own", search_of(server), IDENTITY)


def test_no_server_is_one_clear_message_without_the_password(server: Server, tmp_path: Path) -> None:
    url = "postgresql://me:secret@localhost:1/none"
    with pytest.raises(StorageError) as caught, study_errors(tmp_path):
        SearchStudy(tmp_path, "s", dataclasses.replace(search_of(server), storage=url), IDENTITY)
    assert "secret" not in str(caught.value)
    assert str(caught.value).startswith("postgresql://me:***@localhost:1/none: not a study that can be used (")


# -- the command -------------------------------------------------------------------------------------------------------------


def start(folder: Path, results: str) -> warm.Running:
    return warm.start("search", "team.yaml", "--results", results, cwd=folder)


def trained(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("weights/*/weights.pt")}


def of(folder: Path) -> Trials:
    found = load_trials(folder)
    assert found is not None
    return found


@pytest.mark.slow
def test_two_drivers_one_killed_and_the_server_restarted(server: Server, tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text(SUITE.replace("NAME", "team").replace("URL", server.url))
    a, b = tmp_path / "a/team", tmp_path / "b/team"
    one, other = start(tmp_path, "a"), start(tmp_path, "b")
    until = time.monotonic() + 300
    while not (list(b.glob("jobs/unfinished/*.partial")) and trained(a) | trained(b)):
        assert time.monotonic() < until
        time.sleep(0.05)
    other.kill()
    server.stop("immediate")
    server.start()
    for process in (other, one):
        _, errors = process.communicate(timeout=300)
    assert one.returncode == 0, errors
    found = of(a)
    assert Counter(trial.state for trial in found.rows) == {"complete": 5}
    # The killed driver's one unfinished trial was done anew by the other one; what it had finished was not.
    assert len(trained(a) & trained(b)) <= 1
    assert trained(a) | trained(b) == {trial.cell_id for trial in found.complete}
    merged = subprocess.run(["cp", "-rn", f"{b}/.", f"{a}/"], check=False)
    assert merged.returncode in (0, 1)
    again = start(tmp_path, "a")
    _, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    frame = load_results(a)
    assert {trial.cell_id for trial in found.complete} <= frame.cells.keys()
    tested = {record.cell_id for record in frame.records if record.metric == "accuracy"}
    assert tested == {trial.cell_id for trial in of(a).front}
