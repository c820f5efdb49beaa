"""A state dict in somebody's layout as a variant, its input, and a state dict in our names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from spikebench.core.errors import InputError, Problem
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.layouts import DEAD, LAYOUTS, Layout

OPTIONAL = "num_batches_tracked"


@dataclass(frozen=True)
class Translation:
    """What a checkpoint is in our terms: ``state`` has our names, ``table`` their layers -> ours."""

    spec: VariantSpec
    inputs: InputSpec
    state: Mapping[str, Tensor]
    table: Mapping[str, str]

    def theirs(self, name: str) -> str:
        """Their name of a tensor that we call ``name``; ours where they have none."""
        layer, _, tensor = name.rpartition(".")
        found = next((theirs for theirs, ours in self.table.items() if ours == layer), layer)
        return f"{found}.{tensor}"


def layer_table(layout: Layout, state: Mapping[str, Tensor]) -> dict[str, str]:
    """Theirs -> ours for every layer of a network with as many blocks as ``state`` has; one block a stack where it has none."""
    table = dict(layout.layers)
    for stack in layout.stacks:
        for i in range(max(1, count_blocks(stack.theirs, state))):
            table.update({f"{stack.theirs}.{i}.{theirs}": f"{stack.ours}.{i}.{ours}" for theirs, ours in stack.layers})
    return table


def count_blocks(prefix: str, state: Mapping[str, Tensor]) -> int:
    """How many of ``prefix.0``, ``prefix.1``, .. there are."""
    numbers = {int(match[1]) for key in state if (match := re.match(rf"{re.escape(prefix)}\.(\d+)\.", key))}
    return max(numbers, default=-1) + 1


def without_dead(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what the released code allocates and never uses."""
    return {key: value for key, value in state.items() if not any(re.fullmatch(dead, key) for dead in DEAD)}


def translate(state: Mapping[str, Tensor], layout: Layout, num_heads: int | None, size: int | None) -> Translation:
    """Raises InputError where a layer of the layout is missing or a tensor has no place in it, naming the best layout."""
    state = without_dead(state)
    table = layer_table(layout, state)
    check_names(state, layout, table)
    check_kinds(state, layout)
    ours = {f"{table[layer]}.{tensor}": value for key, value in state.items() for layer, _, tensor in [key.rpartition(".")]}
    classes, dim = state["head.weight"].shape
    stacks = [(stack, count_blocks(stack.theirs, state)) for stack in layout.stacks]
    last = stacks[-1][0]
    hidden = state[f"{last.theirs}.0.{last.fc1}.weight"].shape[0]
    fields = {key: dict(value) if isinstance(value, Mapping) else value for key, value in layout.fields.items()}
    if any(key.endswith(("q_linear.bias", "q_conv.bias")) for key in state):
        fields["attention"]["bias"] = True
    if len(stacks) > 1:
        fields["family"]["blocks"] = [count for _, count in stacks[:-1]]
    spec = VariantSpec.from_mapping(
        {
            **fields,
            "depth": sum(count for _, count in stacks),
            "dim": dim,
            "mlp_ratio": hidden / dim,
            "num_heads": num_heads or _published_heads(layout, dim),
        }
    )
    inputs = InputSpec(state[f"{layout.first}.weight"].shape[1], size or layout.size, classes, layout.events)
    return Translation(spec, inputs, ours, table)


def check_names(state: Mapping[str, Tensor], layout: Layout, table: Mapping[str, str]) -> None:
    """Every layer of ``table`` is in ``state`` and nothing else is."""
    layers = {key.rpartition(".")[0] for key in state}
    missing = [layer for layer in table if layer not in layers]
    extra = [key for key in state if key.rpartition(".")[0] not in table]
    if not missing and not extra:
        return
    best, share = best_layout(state)
    problems = [
        Problem(f"layout {layout.name}: {kind} {_few(names)}")
        for kind, names in (("missing", missing), ("unknown", extra))
        if names
    ]
    if best != layout.name and share > 0.5:
        problems.append(Problem(f"layout {best} fits best: {share:.0%} of its tensors are known there"))
    elif share < 0.5:
        problems.append(Problem(f"no layout fits; {best} comes nearest with {share:.0%} of the tensors known"))
    if best == layout.name or share < 0.5:
        problems.append(
            Problem(f"what the file should hold: spikebench list layouts {best}; renaming: spikebench guide checkpoint")
        )
    raise InputError(problems)


def check_kinds(state: Mapping[str, Tensor], layout: Layout) -> None:
    """Weights are matrices, or 1x1 convolutions of as many dimensions, as the layout has them; shapes are read from these."""
    expected = {"head.weight": 2, f"{layout.first}.weight": 4}
    for stack in layout.stacks:
        if stack.dims is not None:
            expected[f"{stack.theirs}.0.{stack.layers[0][0]}.weight"] = stack.dims[0]
            expected[f"{stack.theirs}.0.{stack.fc1}.weight"] = stack.dims[1]
    problems = []
    for name, dims in expected.items():
        if name not in state:
            problems.append(Problem(f"layout {layout.name}: missing {name}"))
        elif state[name].dim() != dims:
            problems.append(Problem(f"layout {layout.name}: {name} has {dims} dimensions, got {tuple(state[name].shape)}"))
    if problems:
        best, _ = best_layout(state)
        hint = [Problem(f"layout {best} fits best")] if best != layout.name else []
        raise InputError([*problems, *hint])


def best_layout(state: Mapping[str, Tensor]) -> tuple[str, float]:
    """The layout that knows most of these tensors' names, and has most of its own layers among them; with the smaller share."""
    state = without_dead(state)
    layers = {key.rpartition(".")[0] for key in state}

    def share(layout: Layout) -> float:
        table = layer_table(layout, state)
        common = len(layers & table.keys())
        return common / max(len(layers), len(table))

    best = max(LAYOUTS.values(), key=lambda layout: (share(layout), _kinds_agree(layout, state), _events_agree(layout, state)))
    return best.name, share(best)


def _kinds_agree(layout: Layout, state: Mapping[str, Tensor]) -> bool:
    """Whether weights have as many dimensions as in the layout."""
    stack = layout.stacks[0]
    if stack.dims is None:
        return False
    names = (f"{stack.theirs}.0.{stack.layers[0][0]}.weight", f"{stack.theirs}.0.{stack.fc1}.weight")
    return all(name in state and state[name].dim() == dims for name, dims in zip(names, stack.dims, strict=True))


def _events_agree(layout: Layout, state: Mapping[str, Tensor]) -> bool:
    """Whether the image's channels are those of the layout: events have two polarities."""
    first = state.get(f"{layout.first}.weight")
    return first is not None and (first.shape[1] == 2) == layout.events


def _published_heads(layout: Layout, dim: int) -> int:
    heads = layout.num_heads if isinstance(layout.num_heads, int) else layout.num_heads.get(dim)
    if heads is None:
        raise InputError(
            Problem(
                f"the tensors do not say how many heads a network of layout {layout.name}, {dim} wide, has: give it",
                key="num_heads",
            )
        )
    return heads


def _few(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
