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


def natural(scope: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts paths as people count: stem first, ``blocks.2`` before ``blocks.10``, head last."""
    stage = stage_of(scope)
    place = 0 if stage == "stem" else 2 if stage == "head" else 1
    parts = ((0, int(part), "") if part.isdigit() else (1, 0, part) for part in scope.split("."))
    return ((0, place, ""), *parts)


def common(scopes: Iterable[Iterable[str]]) -> list[str]:
    """All scopes of several networks, each once, in natural order."""
    return sorted({scope for one in scopes for scope in one}, key=natural)
