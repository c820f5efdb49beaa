"""Bad input of every kind, through the command itself: exit 2 before anything is measured, each error at its line."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from spikebench.cli import app
from spikebench.core.registry import NoOptions, Registry

STORED = Path(__file__).parents[1] / "formats" / "schema_1"
SUITE = """\
suite: bad
dataset: digits
variants:
  base: spikformer-2-64
  grid:
    attention: [ssa, softmax]
    T: [1, 4]
seeds: [0, 1]
train: {epochs: 3, batch_size: 64, lr: 4.0e-3}
measure: [accuracy, activity]
energy: [spikformer-paper]
report:
  baseline: {attention: ssa, T: 4}
check: {latency: 5%}
"""
SEARCH = """\
search:
  space:
    depth: {int: [1, 2]}
    attention: {choice: [ssa, softmax]}
  objectives: [accuracy]
  trials: 2
"""
PROFILE = """\
# Mine.
source = "mine"

[energy]
mac = 1.0e-12
ac = 1.0e-13
"""


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not refused would train."""

    def events(self: object) -> None:
        raise AssertionError("it was not refused")

    monkeypatch.setattr("spikebench.running.run.runner.Run.events", events)
    monkeypatch.chdir(tmp_path)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refuse(path: Path, *arguments: object, code: int = 2) -> list[str]:
    """The lines of standard error of a command that must fail cleanly."""
    done = invoke(*arguments)
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    assert not (path / "results").exists()
    return done.stderr.splitlines()


def located(lines: list[str], file: Path) -> list[tuple[int, int, str]]:
    """(line, column, rest) of every error that is about the file."""
    found = [re.fullmatch(rf"(?:error:)?\s*{re.escape(str(file))}:(\d+):(\d+): (.*)", line) for line in lines]
    return [(int(match[1]), int(match[2]), match[3]) for match in found if match]


def change(old: str, new: str, text: str = SUITE) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


KNOWN = [
    # Reported faults: found only after training, a traceback, or silence.
    (change("{attention: ssa, T: 4}", "{attention: ssa, T: 3}"), 13, 30, "report.baseline.T: no variant has T 3 (known: 1, 4)"),
    (
        change("{attention: ssa, T: 4}", "{atention: ssa, T: 4}"),
        13,
        14,
        "report.baseline.atention: unknown factor 'atention'; did",
    ),
    (change("{attention: ssa, T: 4}", "{attention: ssa, t: 4}"), 13, 30, "unknown factor 't'; did you mean 'T'?"),
    (
        change("{attention: ssa, T: 4}", "{attention: ssa}"),
        13,
        3,
        "report.baseline: {attention: ssa} must fit one variant, but fits 2",
    ),
    (
        change("{latency: 5%}", "{latency: 5 percent}"),
        14,
        9,
        "check.latency: expected a tolerance like 5%, 5% and 50 us, 1.0pp or 0, got",
    ),
    (change("{latency: 5%}", "{latency: 5pp}"), 14, 9, "check.latency: latency is no fraction, so pp has no meaning"),
    (change("{latency: 5%}", "{confidence: 95}"), 14, 9, "check.confidence: expected a fraction between 0.5 and 1, got 95"),
    (
        change("T: [1, 4]", "T: [1, 4]\n  exclude: [{attention: softmx}]"),
        8,
        14,
        "'softmx' is none of the values of attention; did",
    ),
    (change("T: [1, 4]", "T: [1, 4]\n  exclude: [{T: [1, 3]}]"), 8, 21, "variants.exclude[0].T[1]: 3 is none of the values of T"),
    (change("T: [1, 4]", "T: [1, 4]\n  exclude: [{}]"), 8, 13, "variants.exclude[0]: an empty rule excludes nothing"),
    (change("seeds: [0, 1]", "seeds: [9223372036854775808]"), 8, 9, "seeds[0]: expected a whole number below 2^63"),
    (change("lr: 4.0e-3", "lr: .inf"), 9, 36, "train.lr: expected a finite number, got '.inf'"),
    (change("seeds: [0, 1]", "seeds: [010]"), 8, 9, "seeds[0]: YAML reads 010 as 8 (a leading zero means octal): write 10"),
    (change("seeds: [0, 1]", "seeds: [1:30]"), 8, 9, "seeds[0]: YAML reads 1:30 as 90 (base 60)"),
    (change("seeds: [0, 1]", "seeds: [0, 1, 0]"), 8, 15, "seeds[2]: 0 stands twice"),
    (change("[ssa, softmax]", "[ssa, {name: ssa}]"), 6, 22, "variants.grid.attention[1]: 'ssa' stands twice"),
    (change("[accuracy, activity]", "[accuracy, {accuracy: {}}]"), 10, 21, "measure[1]: 'accuracy' stands twice"),
    (change("[accuracy, activity]", "[]"), 10, 1, "measure: expected at least 1 item, got none"),
    (
        change("epochs: 3,", "epochs: 3, warmup_epochs: 4,"),
        9,
        20,
        "train.warmup_epochs: warmup_epochs must be at most epochs (3), got 4",
    ),
    (
        change("batch_size: 64", "batch_size: 1259"),
        9,
        20,
        "a batch of 1,259 is more than the 1,258 samples of the training split",
    ),
    (SUITE + "launcher: {processes: {workers: 0}}\n", 15, 24, "launcher.processes.workers: workers must be at least 1, got 0"),
    (SUITE.replace(SUITE[SUITE.index("variants") : SUITE.index("seeds")], ""), 1, 1, "variants: which networks?"),
    (SUITE + "a: &a [x, x]\nb: &b [*a, *a]\nc: {<<: 5}\n", 17, 9, "not valid YAML: <<: merges a mapping, or a list of mappings"),
    (change("seeds: [0, 1]", "seeds: [!!int abc]"), 8, 9, "seeds[0]: expected a whole number, got 'abc'"),
    (change("seeds: [0, 1]", f"seeds: [{'7' * 5_000}]"), 8, 9, "seeds[0]: a number of 5,000 characters"),
]
OWN = [
    # Forty more.
    (change("suite: bad", "suite: ../etc"), 1, 1, "suite: expected letters, digits, '.', '_' and '-'"),
    (change("suite: bad", "suite: 7"), 1, 1, "suite: expected text, got 7"),
    (change("suite: bad", f"suite: {'x' * 101}"), 1, 1, "suite: expected letters, digits, '.', '_' and '-', at most 100"),
    (change("suite: bad", 'suite: bad\nquestion: "\\e[2J"'), 2, 1, "question: holds the control character U+001B"),
    (change("suite: bad", "suite: bad\nquestion: [why, not]"), 2, 1, "question: expected text, got ['why', 'not']"),
    (change("dataset: digits", "dataset: Digits"), 2, 1, "dataset: unknown data set 'Digits'; did you mean 'digits'?"),
    (change("dataset: digits", "dataset: null"), 2, 1, "dataset: expected a name or a mapping with a name and options, got None"),
    (change("dataset: digits", "dataset: {digits: {root: data}}"), 2, 20, "dataset.digits.root: digits has no option 'root'"),
    (change("dataset: digits", "dataset: {random: {size: 8, classes: 0}}"), 2, 29, "classes must be at least 1, got 0"),
    (change("variants:", "varaints:"), 3, 1, "varaints: unknown key 'varaints'; did you mean 'variants'?"),
    (change("base: spikformer-2-64", "base: [spikformer-2-64]"), 4, 3, "variants.base: expected text or a mapping, got ["),
    (
        change("base: spikformer-2-64", "base: {depth: 2, dmi: 64}"),
        4,
        20,
        "variants.base.dmi: unknown field 'dmi'; did you mean 'dim'?",
    ),
    (change("base: spikformer-2-64", "base: {dim: 64, num_heads: 7}"), 4, 19, "dim 64 cannot be divided among 7 heads"),
    (change("grid:", "grd:"), 5, 3, "variants.grd: unknown key 'grd'; did you mean 'grid'?"),
    (change("[ssa, softmax]", "ssa"), 6, 5, "variants.grid.attention: expected a list, got 'ssa'"),
    (change("[ssa, softmax]", "[ssa, {name: ssa, ordr: kv_first}]"), 6, 22, "ssa has no option 'ordr'; did you mean 'order'?"),
    (change("[ssa, softmax]", "[ssa, [softmax]]"), 6, 22, "expected a name or a mapping with a name and options"),
    (change("T: [1, 4]", "T: [1, 2.5]"), 7, 12, "variants.grid.T[1]: expected a whole number, got 2.5"),
    (change("T: [1, 4]", "T: [1, 4_000_000_000]"), 7, 12, "variants.grid.T[1]: must be below 2^31"),
    (change("T: [1, 4]", "t: [1, 4]"), 7, 5, "variants.grid.t: unknown field 't'; did you mean 'T'?"),
    (change("T: [1, 4]", "stem.expansio: [2]"), 7, 21, "sps has no option 'expansio'"),
    (change("seeds: [0, 1]", "seeds: 0"), 8, 1, "seeds: expected a list, got 0"),
    (change("seeds: [0, 1]", "seeds: [0, true]"), 8, 12, "seeds[1]: expected a whole number, got True"),
    (
        change("seeds: [0, 1]", "seeds: [1e3]"),
        8,
        9,
        "seeds[0]: expected a whole number, got '1e3' (YAML reads it as text: write 1000)",
    ),
    (change("seeds: [0, 1]", "seeds: [-1]"), 8, 9, "seeds[0]: must be at least 0, got -1"),
    (change("seeds: [0, 1]", "seeds: [0,, 1]"), 8, 11, "not valid YAML"),
    (change("epochs: 3", "epochs: three"), 9, 9, "train.epochs: expected a whole number, got 'three'"),
    (change("epochs: 3", "epoch: 3"), 9, 9, "train.epoch: train has no option 'epoch'; did you mean 'epochs'?"),
    (
        change("epochs: 3", "epochs: 3, optimizer: adam"),
        9,
        20,
        "expected 'adamw', 'sgd' or 'lamb', got 'adam'; did you mean 'adamw'?",
    ),
    (change("lr: 4.0e-3", "lr: 0, min_lr: 1"), 9, 36, "train.lr: lr must be above 0, got 0.0"),
    (
        change("{epochs: 3, batch_size: 64, lr: 4.0e-3}", "never"),
        9,
        1,
        "train: expected a mapping of options, or none, got 'never'",
    ),
    (change("[accuracy, activity]", "accuracy"), 10, 1, "measure: expected a list, got 'accuracy'"),
    (change("[accuracy, activity]", "[train]"), 10, 11, "measure[0]: train is not a measurement: use the key train:"),
    (change("[accuracy, activity]", "[{accuracy: {T: [0]}}]"), 10, 23, "T and batch_size must be at least 1"),
    (change("[accuracy, activity]", "[{latency: {batch_size: [1]}}]"), 10, 22, "did you mean 'batch_sizes'?"),
    (
        change("[spikformer-paper]", "[spikformer_paper]"),
        11,
        10,
        "energy[0]: unknown energy profile 'spikformer_paper'; did you mean",
    ),
    (change("[spikformer-paper]", "[none.toml]"), 11, 10, "energy[0]: no such file: none.toml"),
    (change("report:", "report:\n  formats: [pdf]"), 13, 13, "report.formats[0]: unknown report format 'pdf'"),
    (change("report:", "report:\n  formats: [junit]"), 13, 13, "junit writes a gate's verdicts, not a report"),
    (change("report:", "report:\n  columns: ['latency{batch_size}']"), 13, 13, "expected condition=value"),
    (change("{latency: 5%}", "{latencies: 5%}"), 14, 9, "check.latencies: unknown metric 'latencies'; did you mean 'latency'?"),
    (
        change("{latency: 5%}", "{sops: 0}"),
        14,
        9,
        "check.sops: unknown metric 'sops'; did you mean 'events', which tables call SOPs?",
    ),
    (SUITE + "device: gpu\n", 15, 1, "device: expected 'auto', 'cpu' or 'cuda', got 'gpu'; did you mean 'cpu'?"),
    (SUITE + "launcher: proceses\n", 15, 1, "launcher: unknown launcher 'proceses'; did you mean 'processes'?"),
    (SUITE + "max_cells: 3\n", 5, 3, "variants.grid: 8 cells (attention 2 x T 2 x seeds 2), more than max_cells = 3"),
    (SUITE + "weights: {path: none.pth, layout: spikformer-cifar}\n", 15, 11, "weights.path: no such file"),
    (SUITE + "weights: {path: none.pth}\n", 15, 1, "weights.layout: the key 'layout' is missing"),
    (SUITE + change("[1, 2]", "[2, 1]", SEARCH), 17, 13, "search.space.depth.int: the range 2 to 1 is inverted"),
    (SUITE + change("[accuracy]", "[acuracy]", SEARCH), 19, 16, "search.objectives[0]: unknown metric 'acuracy'; did you mean"),
    (SUITE + change("trials: 2", "trials: 0", SEARCH), 20, 3, "search.trials: must be at least 1, got 0"),
    (SUITE + change("trials: 2", "sampler: tpee", SEARCH), 20, 3, "search.sampler: unknown sampler 'tpee'; did you mean 'tpe'?"),
    (SUITE + "suite: twice\n", 15, 1, "suite: the key stands twice, first on line 1"),
    ("- suite\n- bad\n", 1, 1, "expected a mapping with the keys suite, dataset, variants, ..., got ['suite', 'bad']"),
    (SUITE.replace("suite: bad\n", "? [suite]\n: bad\n"), 1, 3, "not valid YAML: a key in the file is not a word"),
]


@pytest.mark.parametrize(("text", "line", "column", "words"), [*KNOWN, *OWN])
def test_a_bad_suite_is_refused_at_its_line_before_anything_runs(
    text: str, line: int, column: int, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    said = refuse(tmp_path, "run", path)
    found = located(said, path)
    assert [(where[:2], words in where[2]) for where in found if words in where[2] or where[:2] == (line, column)] == [
        ((line, column), True)
    ], "\n".join(said)


def test_forty_inputs_are_of_our_own_invention() -> None:
    assert len({text for text, *_ in OWN}) >= 40


def test_one_wrong_shape_hides_no_other_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eleven errors, one on each line, of which six are wrong shapes."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.yaml"
    text = SUITE
    for old, new in {
        "suite: bad": "suite: 5",
        "dataset: digits": "dataset: digts",
        "base: spikformer-2-64": "base: 5",
        "[ssa, softmax]": "ssa",
        "T: [1, 4]": "T: [1, x]",
        "seeds: [0, 1]": "seeds: [-1, 1, 1]",
        "epochs: 3": "epoch: 3",
        "[accuracy, activity]": "[5, acuracy, activity]",
        "[spikformer-paper]": "[spikformer]",
        "{attention: ssa, T: 4}": "5",
        "{latency: 5%}": "{latenci: 5%}",
    }.items():
        text = change(old, new, text)
    path.write_text(text)
    found = located(refuse(tmp_path, "run", path), path)
    assert {line for line, _, _ in found} == {1, 2, 4, 6, 7, 8, 9, 10, 11, 13, 14}
    # Items keep their numbers although one before them was set aside.
    assert any(rest.startswith("measure[1]: unknown harness 'acuracy'") for _, _, rest in found)
    assert any(rest.startswith("seeds[2]: 1 stands twice") for _, _, rest in found)


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "words"),
    [
        ('source = "mine"', "source = mine", 2, 10, "not TOML: Invalid value"),
        ('source = "mine"', "", 1, 1, "the key 'source' is missing"),
        ("[energy]", "[enrgy]", 4, 2, "enrgy: an energy profile has no option 'enrgy'; did you mean 'energy'?"),
        ("mac = 1.0e-12", "mac = 'much'", 5, 1, "energy.mac: expected a number, got 'much'"),
        ("mac = 1.0e-12", "mac = -1.0", 4, 2, "mac and ac must be joules, at least 0"),
        ("ac = 1.0e-13", "ac = inf", 6, 1, "energy.ac: expected a finite number"),
        ("ac = 1.0e-13", "ac = 1.0e-13\nrang = 2", 7, 1, "energy.rang: energy has no option 'rang'"),
        ('source = "mine"', 'source = "mine"\nconvention = {name = "evnts"}', 3, 1, "did you mean 'events'?"),
    ],
)
def test_a_malformed_energy_profile_is_refused_at_its_own_line(
    old: str, new: str, line: int, column: int, words: str, tmp_path: Path
) -> None:
    profile, suite = tmp_path / "mine.toml", tmp_path / "bad.yaml"
    suite.write_text(change("[spikformer-paper]", "[mine.toml]"))
    assert PROFILE.startswith("#")
    profile.write_text(PROFILE.replace(old, new, 1) if old != "ac = 1.0e-13" else PROFILE.replace("\nac = 1.0e-13", f"\n{new}"))
    found = located(refuse(tmp_path, "run", suite), profile)
    assert (line, column) in [where[:2] for where in found if words in where[2]], found


def test_cuda_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    path = tmp_path / "bad.yaml"
    path.write_text(SUITE + "device: cuda\n")
    ((line, column, rest),) = located(refuse(tmp_path, "run", path), path)
    assert (line, column) == (15, 1)
    assert rest.startswith("device: no CUDA here: torch ")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "no such file"),
        ("folder", "is a folder; expected a YAML file"),
        ("latin", "is not UTF-8 text (byte 10)"),
        ("empty", "expected a mapping with the keys suite, dataset, variants"),
    ],
)
def test_a_file_that_is_none_is_named(kind: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(b"suite: caf\xe9\n" if kind == "latin" else b"")
    (line,) = refuse(tmp_path, "run", path)
    assert str(path) in line
    assert words in line


def test_an_error_cannot_command_the_terminal(tmp_path: Path) -> None:
    said = "\n".join(refuse(tmp_path, "show", "\x1b[31mred\x1b[0m\x07"))
    assert "unknown preset" in said
    assert "\x1b" not in said
    assert "\x07" not in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "nope"), "unknown preset 'nope' (known: qkformer"),
        (("show", "spikformer-2-46"), "unknown preset 'spikformer-2-46'; did you mean 'spikformer-2-64'?"),
        (("show", "spikformer-2-64", "--set", "stem.expansion=2"), "sps has no option 'expansion'"),
        (("show", "spikformer-2-64", "--set", "t=2"), "unknown field 't'; did you mean 'T'?"),
        (("show", "spikformer-2-64", "--set", "T"), "--set: expected FIELD=VALUE, got 'T'"),
        (("show", "spikformer-2-64", "--set", "T=010"), "YAML reads 010 as 8 (a leading zero means octal): write 10"),
        (("show", "spikformer-2-64", "--set", "T=[1"), "--set T: not valid YAML: expected ',' or ']'"),
        (("show", "spikformer-2-64", "--dataset", "digts"), "unknown data set 'digts'; did you mean 'digits'?"),
        (("list", "stem"), "unknown registry 'stem'; did you mean 'stems'?"),
        (("report", STORED, "--section", "trainng"), "unknown report section 'trainng'; did you mean 'training'?"),
        (("report", STORED, "--format", "pdf"), "unknown report format 'pdf'"),
        (("explain", STORED, "--group", ""), "expected factors like stem=sps attention=ssa, or a group_id, got ''"),
        (("explain", STORED, "--group", "stm=sps"), "unknown factor 'stm'; did you mean 'stem'?"),
        (("explain", STORED, "--metric", "acuracy"), "did you mean 'accuracy'?"),
    ],
)
def test_a_command_line_names_what_is_nearest(arguments: tuple[object, ...], words: str, tmp_path: Path) -> None:
    said = refuse(tmp_path, *arguments)
    assert any(words in line for line in said), said


def test_show_takes_options_of_components_as_a_search_does() -> None:
    done = invoke("show", "spikformer-2-64", "--set", "stem=scs", "--set", "stem.expansion=2", "--dataset", "digits")
    assert done.exit_code == 0, done.output
    assert "scs(expansion=2)" in done.stdout


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    shutil.copytree(STORED, tmp_path / "stored")
    return tmp_path / "stored"


def test_a_folder_that_is_wholly_of_a_newer_schema_is_exit_2(stored: Path, tmp_path: Path) -> None:
    for path in (stored / "jobs").glob("*.jsonl"):
        path.write_text(re.sub(r'"schema": \d+', '"schema": 99', path.read_text(), count=1))
    (line,) = refuse(tmp_path, "report", stored)
    assert f"{stored}: nothing here can be read: " in line
    assert "newer spikebench" in line


def test_results_of_another_suite_are_exit_5_before_any_table(stored: Path, tmp_path: Path) -> None:
    suite = stored / "suite.yaml"
    suite.write_text(re.sub(r"suite: \S+", "suite: other", suite.read_text()))
    done = invoke("compare", STORED, stored)
    assert done.exit_code == 5
    assert "of the suite" in done.stderr
    assert done.stdout == ""


def test_a_baseline_of_another_suite_is_refused_at_the_suites_name(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(SUITE)
    ((line, column, rest),) = located(refuse(tmp_path, "check", path, "--against", STORED, code=5), path)
    assert (line, column) == (1, 1)
    assert "not of 'bad'" in rest
    assert str(STORED) in rest


def test_a_data_set_of_a_plugin_without_inputs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dataset:
        version = 1
        Options = NoOptions

        def __init__(self, options: NoOptions) -> None:
            pass

    get = Registry.get
    monkeypatch.setattr(Registry, "get", lambda self, name: Dataset if name == "digits" else get(self, name))
    path = tmp_path / "bad.yaml"
    path.write_text(SUITE)
    ((line, column, rest),) = located(refuse(tmp_path, "run", path), path)
    assert (line, column) == (2, 1)
    assert "dataset: the data set 'digits' of spikebench has no `inputs`" in rest
