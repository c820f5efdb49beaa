"""Cells and their ids."""

from __future__ import annotations

from spikebench.core.cells import Cell
from spikebench.core.choice import Choice
from spikebench.core.variant import VariantSpec


def test_a_cell_with_another_seed_is_the_one_that_is_made_with_it() -> None:
    variant = VariantSpec(depth=1, T=2).replace(stem="scs", position="spikes")
    for pretraining in (None, Choice("pretrain", {"epochs": 2})):
        made = [Cell(variant, Choice("digits"), Choice("train", {"epochs": 1}), seed, pretraining) for seed in (0, 7)]
        other = made[0].with_seed(7)
        assert other == made[1]
        assert (other.cell_id, other.group_id) == (made[1].cell_id, made[1].group_id)
        assert other.cell_id != made[0].cell_id
        assert other.to_plain() == made[1].to_plain()
        before = other.pretraining_cell, made[1].pretraining_cell
        assert before == (None, None) or before[0].cell_id == before[1].cell_id
