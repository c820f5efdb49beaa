"""The public functions that span several rooms."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikebench.core.choice import Choice, build_options
from spikebench.core.grid import preset
from spikebench.core.own_files import REFERENCE
from spikebench.core.own_references import localise_values
from spikebench.core.suite import inputs_of
from spikebench.core.variant import InputSpec, VariantSpec

if TYPE_CHECKING:
    from torch import nn

    from spikebench.networks.masked import MaskedNetwork
    from spikebench.reading.model.frame import Frame


def build(variant: str | VariantSpec | Mapping[str, Any], inputs: str | InputSpec = "digits", **overrides: Any) -> nn.Module:
    """A network: ``build("spikformer-4-384", InputSpec(3, 32, 10), T=2)``.

    ``variant``: a preset's name, a VariantSpec, or a mapping of its fields (``preset`` among them). ``inputs``: a data set's
    name or an InputSpec. ``overrides``: VariantSpec fields as a suite spells them. The network takes (B, C, H, W) or
    (T, B, C, H, W) and returns (B, classes). Raises InputError for unknown names and impossible combinations.
    """
    from spikebench import networks

    spec = variant_of(variant)
    shape = inputs if isinstance(inputs, InputSpec) else inputs_of(_dataset(inputs))
    module: nn.Module = networks.build(spec.replace(**overrides) if overrides else spec, shape)
    return module


def build_masked(
    variant: str | VariantSpec | Mapping[str, Any],
    inputs: str | InputSpec = "digits",
    mask_ratio: float = 0.75,
    **overrides: Any,
) -> MaskedNetwork:
    """A network for masked pre-training: ``.encode(x, mask)`` is (T, B, dim, visible); a call hides, predicts and compares.

    ``overrides``: as in ``build``, and ``block``, ``targets``, ``sparse_stem`` and ``decoder`` of ``networks.masked.Masking``. A
    variant without a position embedding gets ``position: spikes``, unless it is asked for ``position="none"``. What Spikformer V2
    (arXiv 2401.02020) does in detail is not published: this is our reading of it. Raises InputError for unknown names, impossible
    combinations, and components that cannot work on a part of the tokens.
    """
    from spikebench.networks import masked

    names = {field.name for field in dataclasses.fields(masked.Masking)}
    how = {"mask_ratio": mask_ratio, **{name: value for name, value in overrides.items() if name in names}}
    fields = {name: value for name, value in overrides.items() if name not in names}
    spec = variant_of(variant).replace(**fields)
    if "position" not in fields:
        spec = masked.with_position(spec)
    shape = inputs if isinstance(inputs, InputSpec) else inputs_of(_dataset(inputs))
    return masked.build_masked(spec, shape, build_options(masked.Masking, how, owner="build_masked"))


def _dataset(name: str) -> Choice:
    return Choice(localise_values({"dataset": name}, Path.cwd())["dataset"])


def variant_of(variant: str | VariantSpec | Mapping[str, Any]) -> VariantSpec:
    """A VariantSpec from its name, itself, or its fields; ``my_file.py:make``, a family, is seen from the working folder."""
    if isinstance(variant, VariantSpec):
        return variant
    key = "family" if isinstance(variant, str) and REFERENCE.fullmatch(variant) else "preset"
    fields = localise_values({key: variant} if isinstance(variant, str) else dict(variant), Path.cwd())
    name = fields.pop("preset", None)
    return VariantSpec.from_mapping({**(preset(name) if name else {}), **fields})


def run(suite: str | Path, results: str | Path = "results") -> Frame:
    """What ``spikebench run`` does, without printing; returns the results.

    Failed jobs do not raise: they are records with a reason. Raises InputError and StorageError.
    """
    from spikebench.reading.model.frame import load_results
    from spikebench.running.run.runner import open_run

    opened = open_run(suite, results)
    for _ in opened.events():
        pass
    return load_results(opened.store.path, known=opened.store.known)
