"""Files that two splits have in common, whatever they are called: by their sizes, a few bytes, and at last their contents."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable

from spikebench.data._listing import Listing

Files = Iterable[tuple[Listing, str]]


def shared(mine: Files, theirs: Files) -> list[str]:
    """Those of ``mine`` whose contents are those of one of ``theirs`` that is another file, sorted.

    Read is what is of equal size, whole only what is equal in the middle too: a million files cost their sizes.
    """
    own, others = _by_size(mine), _by_size(theirs)
    found: list[str] = []
    for size in own.keys() & others.keys():
        middles: dict[bytes, list[tuple[Listing, str]]] = defaultdict(list)
        for listing, file in others[size]:
            middles[listing.middle(file, size)].append((listing, file))
        for listing, file in own[size]:
            alike = [other for other in middles.get(listing.middle(file, size), ()) if other != (listing, file)]
            if alike and _digest(listing, file) in {_digest(*other) for other in alike}:
                found.append(str(listing.folder / file))
    return sorted(found)


def _by_size(files: Files) -> dict[int, list[tuple[Listing, str]]]:
    wanted: dict[Listing, list[str]] = defaultdict(list)
    for listing, file in files:
        wanted[listing].append(file)
    found: dict[int, list[tuple[Listing, str]]] = defaultdict(list)
    for listing, names in wanted.items():
        sizes = dict(listing.sizes())
        for name in names:
            found[sizes[name]].append((listing, name))
    return found


def _digest(listing: Listing, file: str) -> bytes:
    return hashlib.sha256(listing.content(file)).digest()
