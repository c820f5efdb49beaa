"""Which axis of the network's input holds the samples, and which, in a sequence, the time steps.

Said by the caller or by the network; else by the modules that the input reaches, whose interfaces name their axes; else the
first axis holds samples, and of five axes the second: (T, B, C, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from spikebench.activity.provenance import TRACKS, Along, Place, Places


class Layout:
    """Of one call of a network. ``T``, ``samples``: as the caller gave them.

    ``track``: the input's axis that holds samples, 0 or 1, None where that is not known; ``samples``: how many there are.
    """

    def __init__(
        self, model: nn.Module | None = None, inputs: Sequence[Tensor] = (), T: int | None = None, samples: int | None = None
    ) -> None:
        first = inputs[0] if inputs else None
        self.shape: tuple[int, ...] = () if first is None else tuple(first.shape)
        self._T, self._samples = T, samples
        own = getattr(model, "T", None)
        self._own_T = own if isinstance(own, int) else None
        flag = getattr(model, "batch_first", None)
        self._batch_first = flag if isinstance(flag, bool) else None
        if len(self.shape) == 2 and isinstance(model, (nn.MultiheadAttention, nn.RNNBase)) and samples is None:
            self._samples = 1  # (L, N): a sequence without a batch axis
        self._said = self._what_is_said()
        self._heard: int | None = None

    def _what_is_said(self) -> int | None:
        if self._samples is not None:
            fitting = [axis for axis, size in enumerate(self.shape[:TRACKS]) if size == self._samples]
            if len(fitting) == 1:
                return fitting[0]
        if self._batch_first is not None and len(self.shape) in (3, 5):
            return 0 if self._batch_first else 1
        if self._batch_first is not None and len(self.shape) == 4:
            return 0  # an image, which networks of sequences take too
        return None

    def hears(self, module: nn.Module, x: Tensor, places: Places) -> None:
        """Attention and recurrent layers say whether they read (B, L, N) or (L, B, N)."""
        batch_first = getattr(module, "batch_first", None)
        if isinstance(batch_first, bool) and x.dim() == 3:
            self.reads(x, places, 0 if batch_first else 1)

    def reads(self, x: Tensor, places: Places, batch_axis: int, windows: int = 0) -> None:
        """A module whose interface has its samples on ``batch_axis`` reads ``x``, which is in these places. Who reads the input
        first is believed.

        ``windows``: for a convolution, over how many axes: steps and samples may be one axis of what it reads.
        """
        if self._heard is not None:
            return
        channels = next(iter(places), "all")
        if windows == len(self.shape) - 1 and isinstance(channels, Along) and channels.axis == batch_axis + 1:
            self._samples = self._samples or 1  # (C, H, W): torch gives one image a batch of its own
            return
        on_axis = [track for track, place in enumerate(places) if isinstance(place, Along) and place.axis == batch_axis]
        single = [track for track, size in enumerate(self.shape[:TRACKS]) if size == 1]  # not followed: it may be any axis of 1
        joined = 0 < windows < len(self.shape) - 2
        if len(on_axis) == 1 and not (joined and single):
            self._heard = on_axis[0]
        elif not on_axis and len(single) == 1 and not joined and x.shape[batch_axis] == 1:
            self._heard = single[0]

    @property
    def track(self) -> int | None:
        if self._samples is not None and self._samples not in self.shape[:TRACKS]:
            return None
        if self._said is not None:
            return self._said
        if self._heard is not None and (self._samples is None or self.shape[self._heard] == self._samples):
            return self._heard
        if self._samples is not None and self._samples != 1 and len(self.shape) != 5 and self.shape[:1] == self.shape[1:2]:
            return None  # (T, B, ...) or (B, T, ...), T and B being equal
        return 1 if len(self.shape) == 5 else 0

    @property
    def samples(self) -> int:
        if self._samples is not None:
            return self._samples
        track = self.track
        return self.shape[track] if track is not None and track < len(self.shape) else 0

    @property
    def time_track(self) -> int | None:
        """The input's axis that holds time steps, where there is one."""
        if self.track == 1:
            return 0
        return 1 if self.track == 0 and len(self.shape) == 5 and self._batch_first else None

    @property
    def steps(self) -> int | None:
        """T, where the caller, the input or the network says so."""
        if self._T is not None:
            return self._T
        if len(self.shape) == 5 and self.time_track is not None:
            return self.shape[self.time_track]
        return self._own_T

    def places(self, tensor: Tensor) -> Places:
        """Where an input is, the first or another beside it: one that has as many elements along an axis as the first has."""
        return tuple(self._place(track, tuple(tensor.shape)) for track in range(TRACKS))

    def _place(self, track: int, shape: tuple[int, ...]) -> Place:
        wanted = self._said is None or track in (self._said, self.time_track)
        if not wanted or track >= len(self.shape) or self.shape[track] == 1:
            return "all"
        if track < len(shape) and shape[track] == self.shape[track]:
            return Along(track, shape[track])
        return "mixed" if self.shape[track] in shape else "all"
