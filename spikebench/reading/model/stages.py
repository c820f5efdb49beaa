"""Where in the network a module stands: stem, attention, MLP or head, from its path."""

from __future__ import annotations

from collections.abc import Iterable

STAGES = ("stem", "attention", "MLP", "head", "other")
WORDS = {
    "stem": ("stem", "patch_embed", "embed", "encoding"),
    "attention": ("attention", "attn", "ssa", "tssa"),
    "MLP": ("mlp", "ffn"),
    "head": ("head", "classifier", "fc"),
}
"""Parts of a path, trailing digits apart, in our own networks and in the official codes."""


def stage_of(scope: str) -> str:
    """The stage of a module path: ``blocks.0.mlp.fc1`` is ``MLP``; what fits none is ``other``.

    The first telling part decides: ``blocks.1.attention.head`` is attention.
    """
    for part in scope.lower().split("."):
        bare = part.rstrip("0123456789").rstrip("_")
        for stage, words in WORDS.items():
            if bare in words:
                return stage
    return "other"


def merged(orders: Iterable[Iterable[str]]) -> list[str]:
    """The layers of several networks in order of execution, each once; what one has alone stands after its predecessor there."""
    found: list[str] = []
    for order in orders:
        place = 0
        for name in order:
            if name in found:
                place = found.index(name) + 1
            else:
                found.insert(place, name)
                place += 1
    return found
