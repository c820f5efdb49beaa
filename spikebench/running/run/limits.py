"""Limits of time that are given with a command, in place of its suite's own."""

from __future__ import annotations

import dataclasses

from spikebench.core.errors import InputError, Problem
from spikebench.core.quantity import duration
from spikebench.core.suite import Suite


@dataclasses.dataclass(frozen=True)
class Limits:
    """Seconds, as the keys of these names in a suite; None leaves what the suite says. They are of one command: the suite that
    the results folder keeps has its own."""

    job_timeout: float | None = None
    stall: float | None = None

    @classmethod
    def parse(cls, **given: str | None) -> Limits:
        """From ``job_timeout="2 h", stall="90 s"``. Raises InputError with a problem for each that is no duration."""
        problems: list[Problem] = []
        found: dict[str, float | None] = {}
        for name, text in given.items():
            try:
                found[name] = seconds(f"--{name.replace('_', '-')}", text)
            except InputError as error:
                problems += error.problems
        if problems:
            raise InputError(problems)
        return cls(**found)

    def of(self, suite: Suite) -> Suite:
        """The suite under these limits."""
        given = {name: limit for name, limit in dataclasses.asdict(self).items() if limit is not None}
        return dataclasses.replace(suite, **given) if given else suite


AS_THE_SUITE = Limits()


def seconds(option: str, given: str | None) -> float | None:
    """The duration that an option of the command line names. Raises InputError that names the option."""
    try:
        return duration(given)
    except InputError as error:
        raise InputError([problem.within(option) for problem in error.problems]) from None
