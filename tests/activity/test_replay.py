"""A call that was written down by hand, done again on other numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from spikebench.activity.layout import Layout
from spikebench.activity.replay import Program, Tape

aten = torch.ops.aten


class Writer:
    """Runs operations and writes them down."""

    def __init__(self, x: Tensor) -> None:
        self.tape = Tape(nn.Module(), x)
        self.kept: list[Any] = []

    def __call__(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        out = func(*args, **kwargs)
        self.tape.ran(func, args, kwargs, out)
        self.kept.append(out)
        return out

    def program(self, output: Tensor) -> Program:
        found = self.tape.program(output, Layout(), [])
        assert found is not None, self.tape.broken
        return found


def network(run: Any, x: Tensor) -> Tensor:
    """Views of the input, of what was made, of a part of it, in one step and in three, in another dtype, and written to."""
    turned = run(aten.transpose.int, x, 0, 1)
    made = run(aten.relu.default, turned)
    flat = run(aten.view.default, run(aten.transpose.int, made, 0, 1), [24])
    bits = run(aten.view.dtype, flat, torch.int32)
    top, rest = run(aten.split.Tensor, made, 2)
    tall = run(aten.unsqueeze.default, run(aten.t.default, rest), 0)
    run(aten.mul_.Tensor, run(aten.select.int, flat, 0, 5), 3.0)
    sums = run(aten.add.Tensor, run(aten.squeeze.default, tall), run(aten.t.default, top))
    read = run(aten._unsafe_view.default, run(aten.clone.default, bits), [6, 4])
    numbers = run(aten._to_copy.default, read, dtype=torch.float32)
    return run(aten.mm.default, numbers, run(aten.slice.Tensor, run(aten.expand.default, sums, [-1, -1]), 0, 0, 4))


def plainly(func: Any, *args: Any, **kwargs: Any) -> Any:
    return func(*args, **kwargs)


def test_views_are_what_they_were_wherever_the_input_lies() -> None:
    inputs = torch.randn(5, 6, 4)
    expected = [network(plainly, x) for x in inputs]
    first = inputs[1]
    writer = Writer(first)
    program = writer.program(network(writer, first))
    for x, wanted in zip(inputs, expected, strict=True):
        assert torch.equal(program.run(x), wanted)


def test_a_chain_of_views_is_one_step_and_what_nobody_reads_is_none() -> None:
    x = torch.rand(2, 3, 4)
    run = Writer(x)
    made = run(aten.neg.default, x)
    run(aten.select.int, made, 0, 1)
    run(aten.empty.memory_format, [7])
    run(aten.rand_like.default, made)  # takes of the generator what the call has taken
    rows = run(aten.transpose.int, run(aten.view.default, made, [6, 4]), 0, 1)
    program = run.program(run(aten.exp.default, run(aten.t.default, rows)))
    assert [step.function for step in program.steps] == [
        *(aten.neg.default, aten.rand_like.default),
        *(torch.as_strided, aten.exp.default),
    ]
    assert torch.equal(program.run(x + 1), torch.exp(-x - 1).view(6, 4))
