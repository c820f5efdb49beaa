"""Published numbers: what every file owes, and the arithmetic that references.md 1.8 has behind Spikformer's energies."""

import pytest

from spikebench.core.errors import InputError
from spikebench.core.published import load, load_all, records
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import VariantSpec

NAMES = REGISTRIES["published"].names()


@pytest.mark.parametrize("name", NAMES)
def test_every_file_names_its_paper_and_every_number_its_source(name):
    assert len(REGISTRIES["published"].describe(name)) > 20
    rows = load(name)
    assert rows
    for row in rows:
        assert row.source
        assert row.read_in.startswith(("primary", "translation", "second-hand"))
        assert row.records
        for record in row.records:
            assert record.kind == "published"
            assert record.conditions["source"] == row.source
            if record.metric == "accuracy":
                assert 0.1 < record.value < 1
            if record.metric == "energy":
                assert 1e-4 < record.value < 0.2
                assert record.conditions["convention"] not in ("", "none")


def test_factors_are_fields_of_a_variant():
    known = {*VariantSpec.__dataclass_fields__, "train.epochs"}
    assert {name for row in load_all() for name in row.factors} <= known


def test_no_number_is_published_twice_under_one_address():
    addresses = [(r.metric, *sorted(r.conditions.items())) for r in records()]
    assert len(addresses) == len(set(addresses))


def test_units_are_converted_exactly():
    row = next(row for row in load("spikformer") if (row.variant, row.dataset) == ("4-256", "cifar10"))
    assert {record.metric: record.value for record in row.records} == {"parameters": 4_150_000, "accuracy": 0.9394}


@pytest.mark.parametrize(("variant", "width"), [("8-384", 384), ("6-512", 512), ("8-512", 512), ("10-512", 512), ("8-768", 768)])
def test_printed_energies_charge_everybody_the_512_wide_first_convolution(variant, width):
    row = next(row for row in load("spikformer") if row.variant == variant and len(row.records) == 5)
    sops = next(record.value for record in row.records if record.metric == "events")
    energies = {record.conditions["convention"]: record.value for record in row.records if record.metric == "energy"}

    def joules(width: int) -> float:
        return 4.6e-12 * 4 * 27 * 224**2 * (width // 8) + 0.9e-12 * sops

    assert energies["spikformer-paper"] == pytest.approx(joules(512), abs=2e-6)
    assert energies["self-consistent"] == pytest.approx(joules(width), abs=2e-6)


def test_a_broken_row_is_named_by_file_and_line(tmp_path, monkeypatch):
    broken = tmp_path / "broken.csv"
    header = (REGISTRIES["published"].folder / "spikformer.csv").read_text().splitlines()[1]
    row = ",".join({"dataset": "cifar10", "params_M": "many", "source": "somewhere"}.get(name, "") for name in header.split(","))
    broken.write_text(f"# A paper.\n{header}\n{row}\n")
    monkeypatch.setattr(REGISTRIES["published"], "get", lambda name: broken)
    with pytest.raises(InputError, match=r"broken\.csv:3"):
        load("broken")
