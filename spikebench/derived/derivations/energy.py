"""Energy per image: stored counts times a profile's joules per operation. An estimate, never a measurement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from spikebench.core.metrics import Metric
from spikebench.core.records import Record, Scalar
from spikebench.derived.conventions import operations, rules_of
from spikebench.derived.counted import IDS, Counted, counted
from spikebench.derived.profile import Profile, load_profile

ENERGY = Metric(
    "energy",
    "J",
    "lower",
    "estimated",
    "Energy",
    "E",
    display_unit="mJ",
    display_factor=1e3,
    combine="sum",
    exact=True,
    note="estimated from counts, per image over all T; conditions name the profile and the convention",
)


class Derivation:
    """Energy of the whole network and of every site, under each profile and one convention (each profile's own if not named)."""

    metrics = (ENERGY,)

    def __call__(
        self,
        records: Iterable[Record],
        profiles: Sequence[str] = ("spikformer-paper",),
        convention: str | None = None,
        **options: Any,
    ) -> Iterator[Record]:
        """``profiles``: names or TOML paths. ``options``: rules of the convention, by name (``first_convolution="once"``).

        Raises InputError for an unknown profile, convention or option.
        """
        jobs = list(counted(records))
        for name in profiles:
            profile = load_profile(name)
            for job in jobs:
                yield from _energy(job, profile, convention, options)


def _energy(job: Counted, profile: Profile, convention: str | None, options: dict[str, Any]) -> Iterator[Record]:
    conditions: dict[str, Scalar] = {"profile": profile.name, "convention": convention or profile.convention}
    conditions |= {name: str(value) for name, value in options.items()}
    ids: dict[str, Any] = dict(zip(IDS, job.ids, strict=True))
    if not job.sites:
        yield Record.absent(ENERGY, f"there are no counts to make it from: {job.reason}", conditions=conditions, **ids)
        return
    own = profile.rules if convention in (None, profile.convention) else {}
    rules = rules_of(convention or profile.convention, **{**own, **options})
    found = [
        (site, profile.mac * ops.macs + profile.ac * ops.acs)
        for site, ops in operations(job.sites, rules, job.time_steps)
        if ops.macs or ops.acs or site.synaptic
    ]
    complete: dict[str, Scalar] = {} if job.complete else {"complete": False}
    yield Record.of(ENERGY, sum(joules for _, joules in found), conditions={**conditions, **complete}, **ids)
    for site, joules in found:
        where: dict[str, Scalar] = {"site": site.site, "operation": site.operation, "input": site.input}
        yield Record.of(ENERGY, joules, scope=site.scope, conditions={**conditions, **where}, **ids)
