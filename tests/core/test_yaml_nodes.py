"""YAML as people and attackers write it: merge keys, places, the traps of YAML 1.1, and files that grow when they are read."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml

from spikebench.core import yaml_nodes
from spikebench.core.errors import InputError
from spikebench.core.records import Selector

MERGED = """
common: &c {epochs: 0, batch_size: 32}
other: &o {lr: 1, size: 8}
train:
  <<: *c
  batch_size: 64
  lr: 0.004
both: {<<: [*c, *o]}
chain: &d {<<: *o, lr: 2}
last:
  lr: 3
  <<: *d
quoted: {"<<": 1}
"""


def message(text: str) -> str:
    """The one error of ``text``, whether it stops the reading or not."""
    try:
        problems = yaml_nodes.parse(text, "f.yaml").problems
    except InputError as error:
        problems = list(error.problems)
    (problem,) = problems
    return str(problem)


def test_merge_keys_give_what_pyyaml_gives() -> None:
    assert yaml_nodes.parse(MERGED).data == yaml.safe_load(MERGED)
    assert not yaml_nodes.parse(MERGED).problems


def test_of_several_merged_mappings_the_first_wins() -> None:
    """As the specification of the merge key says (yaml.org/type/merge); PyYAML 6.0.4 lets the last one win."""
    text = "a: &a {lr: 1}\nb: &b {lr: 2, size: 8}\nc: {<<: [*a, *b]}"
    assert yaml_nodes.parse(text).data["c"] == {"lr": 1, "size": 8}


def test_a_merged_value_stands_where_it_was_written() -> None:
    places = yaml_nodes.parse(MERGED).places
    assert places[("train", "epochs")] == (2, 13)
    assert places[("train", "batch_size")] == (6, 3)


def test_a_key_that_stands_twice_is_told_once_however_often_it_is_merged() -> None:
    assert message("a: &a {x: 1, x: 2}\nb: {<<: *a}\nc: {<<: *a}\n").startswith("f.yaml:1:14: a.x: the key stands twice")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("010", "YAML reads 010 as 8 (a leading zero means octal): write 10"),
        ("-0_7", "octal): write -7"),
        ("1:30", "YAML reads 1:30 as 90 (base 60)"),
        ("1:30.5", "as 90.5 (base 60)"),
        (".inf", "expected a finite number, got '.inf'"),
        ("-.INF", "expected a finite number"),
        (".nan", "expected a finite number"),
        ("1.0e+400", "expected a finite number"),
        ("9223372036854775808", "expected a whole number below 2^63"),
        ("!!int abc", "expected a whole number, got 'abc'"),
        ("!!float abc", "expected a number, got 'abc'"),
        ("!!bool maybe", "expected true or false, got 'maybe'"),
        ("9" * 5_000, "a number of 5,000 characters"),
        ("0x" + "f" * 5_000, "a number of 5,002 characters"),
        ("!!python/object/apply:os.getcwd []", "is no kind of value here"),
        ("!thing {b: 1}", "'!thing' is no kind of value here"),
        ("!!binary QUJD", "is no kind of value here"),
        ('"\\e[31mred"', "holds the control character U+001B"),
        ('"\\u202egnp"', "holds the control character U+202E"),
    ],
)
def test_what_nobody_meant_is_one_error_at_its_place(value: str, words: str) -> None:
    said = message(f"first: 1\nkey: [2, {value}]\n")
    assert said.startswith("f.yaml:2:10: key[1]: ")
    assert words in said


@pytest.mark.parametrize(
    "value", ["0", "-1", "0x1F", "0b11", "1_000", "9223372036854775807", "1.5", "-2.5e-3", "yes", "null", "~"]
)
def test_plain_numbers_and_words_are_as_pyyaml_reads_them(value: str) -> None:
    found = yaml_nodes.parse(f"a: {value}")
    assert found.data == yaml.safe_load(f"a: {value}")
    assert not found.problems


def test_a_selector_with_thousands_of_blanks_is_refused_in_as_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quadratic or cubic expression would not end: two million blanks are four trillion pairs."""
    for text in ("events" + " " * 2_000_000 + "!", " " * 2_000_000 + "!", "events{" + " " * 2_000_000):
        with pytest.raises(InputError, match="expected metric"):
            Selector.parse(text)
    assert str(Selector.parse(" events  { a = b }  @blocks.* ")) == "events{a=b}@blocks.*"


def test_a_date_is_the_word_that_stands_there() -> None:
    assert yaml_nodes.parse("a: 2024-01-01").data == {"a": "2024-01-01"}


def grown(first: str, pattern: str) -> str:
    """Twelve anchors, each ten times the one before: 10^12 values."""
    lines = [f"a0: &a0 {first}"]
    for old, new in itertools.pairwise(range(12)):
        lines.append(f"a{new}: &a{new} {pattern.format(','.join([f'*a{old}'] * 10))}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (grown("[x, x]", "[{}]"), "more than 100,000 values, with its aliases written out"),
        (grown("{x: 1}", "{{<<: [{}]}}"), "more than 100,000 values"),
        ("[" * 3_000, "nested deeper than 100 levels"),
        ("- " * 3_000 + "x", "nested deeper than 100 levels"),
        ("a: &a [*a]", "an anchor contains itself"),
        ("a: &a {<<: *a}", "an anchor contains itself"),
    ],
)
def test_a_file_that_grows_is_refused_before_it_does(text: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    converted = []
    convert = yaml_nodes._Walker.convert

    def counted(self: Any, *arguments: Any) -> Any:
        converted.append(1)
        return convert(self, *arguments)

    monkeypatch.setattr(yaml_nodes._Walker, "convert", counted)
    assert words in message(text)
    assert not converted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "a: [1, 2",
            "f.yaml:1:9: not valid YAML: expected ',' or ']', but got 'the end of the file', while parsing",
        ),
        ("a:\n\tb: 1", "f.yaml:2:1: not valid YAML: a tab: indent with spaces"),
        ("a: b: c", "f.yaml:1:5: not valid YAML: a colon stands where no key can be"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: not valid YAML: a second document (---) in one file"),
        ("a: 1\nb: \x07", "f.yaml:2:4: not valid YAML: the control character U+0007"),
        ('a: {"\\e": 1}', "f.yaml:1:5: not valid YAML: a key in a holds the control character U+001B"),
        ("a: {<<: 5}", "f.yaml:1:9: not valid YAML: <<: merges a mapping, or a list of mappings"),
    ],
)
def test_what_is_not_yaml_is_said_with_the_useful_half_first(text: str, words: str) -> None:
    assert message(text).startswith(words)
