"""Energy per image: stored counts times a profile's joules per operation. An estimate, never a measurement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from spikebench.core.metrics import Metric
from spikebench.core.records import Record, Scalar, spell
from spikebench.derived.conventions import rules_of
from spikebench.derived.counted import IDS, Counted, counted
from spikebench.derived.profile import Profile, load_profile
from spikebench.derived.terms import TERMS, charged, twin_bits

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
    headline=50,
)
TERM = Metric(
    "energy_term",
    "J",
    "lower",
    "estimated",
    "Energy by term",
    display_unit="mJ",
    display_factor=1e3,
    exact=True,
    note="a part of the estimate: operations, addressing, memory or membrane; parts add up to the energy",
)


class Derivation:
    """Energy of the whole network and of every site, under each profile and one convention (each profile's own if not named)."""

    asks = "profiles"
    metrics = (ENERGY, TERM)

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
        loaded = [load_profile(name) for name in profiles]
        jobs = list(counted(records))
        for profile in loaded:
            for job in jobs:
                yield from _energy(job, profile, convention, options)


def _energy(job: Counted, profile: Profile, convention: str | None, options: dict[str, Any]) -> Iterator[Record]:
    name = convention or profile.convention
    conditions: dict[str, Scalar] = {"profile": profile.name, "convention": name}
    conditions |= {option: spell(value) for option, value in options.items()}
    if job.split:
        conditions["split"] = job.split
    if profile.twin:
        conditions["bits"] = twin_bits(job.time_steps)
    ids: dict[str, Any] = dict(zip(IDS, job.ids, strict=True))
    if not job.sites:
        yield Record.absent(ENERGY, f"there are no counts to make it from: {job.reason}", conditions=conditions, **ids)
        return
    # What a profile changes in its own convention it does not change in another one that somebody asks for.
    own = profile.rules if name == profile.convention else {}
    found = list(charged(job, profile, rules_of(name, **{**own, **options})))
    complete: dict[str, Scalar] = {} if job.complete else {"complete": False}
    whole = {**conditions, **complete}
    yield Record.of(ENERGY, sum(sum(terms.values()) for _, terms in found), conditions=whole, **ids)
    for term in TERMS:
        parts = [terms[term] for _, terms in found if term in terms]
        if profile.memory is not None or profile.membrane is not None:
            yield Record.of(TERM, sum(parts), conditions={**whole, "term": term}, **ids)
    for site, terms in found:
        where: dict[str, Scalar] = {"site": site.site, "operation": site.operation, "input": site.input}
        yield Record.of(ENERGY, sum(terms.values()), scope=site.scope, conditions={**conditions, **where}, **ids)
