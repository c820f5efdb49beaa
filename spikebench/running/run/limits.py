"""What is given with a command in place of what its suite says: limits of time, a launcher, a Ray cluster."""

from __future__ import annotations

import dataclasses
from typing import Any

import yaml

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem
from spikebench.core.quantity import duration
from spikebench.core.suite import Suite


@dataclasses.dataclass(frozen=True)
class Limits:
    """Seconds, as the keys of these names in a suite; None leaves what the suite says. ``address``: of a Ray cluster, on which
    its jobs run whatever launcher it names. They are of one command: the suite that the results folder keeps has its own."""

    job_timeout: float | None = None
    stall: float | None = None
    address: str | None = None
    launcher: Choice | None = None

    @classmethod
    def parse(cls, address: str | None = None, launcher: str | None = None, **given: str | None) -> Limits:
        """From ``job_timeout="2 h", stall="90 s", launcher="{slurm: {partition: gpu}}"``. Raises InputError with a problem for
        each that is no duration, or no launcher with its options."""
        problems: list[Problem] = []
        found: dict[str, float | None] = {}
        for name, text in given.items():
            try:
                found[name] = seconds(f"--{name.replace('_', '-')}", text)
            except InputError as error:
                problems += error.problems
        try:
            chosen = None if launcher is None else _launcher(launcher)
        except InputError as error:
            problems += [problem.within("--launcher") for problem in error.problems]
        if problems:
            raise InputError(problems)
        return cls(**found, address=address, launcher=chosen)

    def of(self, suite: Suite) -> Suite:
        """The suite under these limits."""
        given: dict[str, Any] = {"job_timeout": self.job_timeout, "stall": self.stall, "launcher": self.launcher}
        if self.address is not None:
            launcher = self.launcher or suite.launcher
            options = launcher.options if launcher.name == "ray" else {}
            given["launcher"] = Choice("ray", {**options, "address": self.address})
        given = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(suite, **given) if given else suite


AS_THE_SUITE = Limits()


def _launcher(text: str) -> Choice:
    try:
        choice = Choice.parse(yaml.safe_load(text))
        choice.resolve("launchers")
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise InputError(f"expected a launcher as in a suite, {{slurm: {{partition: gpu}}}}, got {text!r} ({error})") from None
    return choice


def seconds(option: str, given: str | None) -> float | None:
    """The duration that an option of the command line names. Raises InputError that names the option."""
    try:
        return duration(given)
    except InputError as error:
        raise InputError([problem.within(option) for problem in error.problems]) from None
