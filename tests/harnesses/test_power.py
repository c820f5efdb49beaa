"""The harness `power`, on invented counters: this project's machines have none."""

from pathlib import Path

import pytest
import torch

from spikebench.core.choice import Choice
from spikebench.core.records import Record, Selector
from spikebench.harnesses._power import measure, meters
from spikebench.harnesses._power.meters import Rapl
from spikebench.harnesses._ways import contender
from spikebench.harnesses.power import Harness
from spikebench.testing import make_subject


def powercap(root: Path, packages: dict[str, int], maximum: int = 1_000_000) -> Path:
    for name, energy in packages.items():
        zone = root / name
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "name").write_text("package-0\n" if name.count(":") == 1 else "core\n")
        (zone / "max_energy_range_uj").write_text(f"{maximum}\n")
        (zone / "energy_uj").write_text(f"{energy}\n")
    return root


def run(folder: Path, **options: object) -> list[Record]:
    choice = Choice("power", {"batch_sizes": [4], "seconds": 0.5, "windows": 3, **options})
    return list(Harness().run(make_subject(folder, choice), choice.resolve("harnesses")))


def test_rapl_adds_packages_but_not_their_parts_and_survives_the_counters_wrapping(tmp_path: Path) -> None:
    meter = Rapl(powercap(tmp_path, {"intel-rapl:0": 900_000, "intel-rapl:1": 100_000, "intel-rapl:0:0": 5}))
    assert meter.joules() == 0.0
    powercap(tmp_path, {"intel-rapl:0": 950_000, "intel-rapl:1": 100_010, "intel-rapl:0:0": 900_000})
    assert meter.joules() == pytest.approx(0.05001)
    powercap(tmp_path, {"intel-rapl:0": 50_000})  # over the top
    assert meter.joules() == pytest.approx(0.15001)


def test_no_counter_is_absent_with_the_reason_and_never_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "POWERCAP", tmp_path / "nowhere")
    records = run(tmp_path, batch_sizes=[1, 4])
    assert len(records) == 1 + 2 * 2
    assert all(record.value is None and record.status == "unavailable" for record in records)
    assert all("no RAPL counter" in record.reason for record in records)


def test_counters_that_may_not_be_read_say_so(tmp_path: Path) -> None:
    root = powercap(tmp_path, {"intel-rapl:0": 1})
    (root / "intel-rapl:0" / "energy_uj").unlink()
    (root / "intel-rapl:0" / "energy_uj").mkdir()  # reading raises an OSError whoever runs the test, root included
    with pytest.raises(LookupError, match="may not be read"):
        Rapl(root)


def test_nvml_that_is_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(LookupError, match=r"spikebench\[gpu\]"):
        meters.meter_for(torch.device("cuda", 0))


class World:
    """A machine that draws 10 W idle, and 2 J more for each call of 0.1 s."""

    name = "invented"

    def __init__(self) -> None:
        self.now = 0.0
        self.extra = 0.0

    def joules(self) -> float:
        return 10.0 * self.now + self.extra

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def call(self) -> None:
        self.now += 0.1
        self.extra += 2.0


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(measure, "time", world)
    monkeypatch.setattr(meters, "meter_for", lambda device: world)
    monkeypatch.setattr(contender.Contender, "__call__", lambda self: world.call())
    return world


def test_idle_is_subtracted_and_both_are_stated(tmp_path: Path, world: World) -> None:
    records = run(tmp_path)
    assert Selector.parse("idle_power").one(records).value == pytest.approx(10.0)
    energy, drawn = (Selector.parse(name).one(records) for name in ("energy_per_image", "power"))
    assert energy.value == pytest.approx(2.0 / 4)  # a call is four images
    assert energy.samples == pytest.approx([0.5] * 3)
    assert drawn.value == pytest.approx(10.0 + 2.0 / 0.1)
    assert "idle 10.0 W subtracted" in energy.reason
    assert "3 windows of 0.5 s" in energy.reason


def test_a_combination_that_breaks_fails_alone(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def bounded(self: contender.Contender) -> None:
        if len(self.x) == 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        world.call()

    monkeypatch.setattr(contender.Contender, "__call__", bounded)
    records = run(tmp_path, batch_sizes=[8, 4], modes=["eager", "cudagraph"])
    status = {
        (record.conditions["batch_size"], record.conditions["mode"]): record.status for record in records if record.conditions
    }
    assert status == {
        (8, "eager"): "failed",
        (8, "cudagraph"): "unavailable",
        (4, "eager"): "ok",
        (4, "cudagraph"): "unavailable",
    }
