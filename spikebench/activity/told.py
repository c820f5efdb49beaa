"""What a neuron's kernel has counted while it wrote the spikes that the neuron then returned."""

from __future__ import annotations

from torch import Tensor

from spikebench.core.values import BINARY, Values
from spikebench.kernels.lif import Counts


class Told:
    """The counts of the last kernel call, for as long as its spikes are as it left them."""

    def __init__(self) -> None:
        self._last: tuple[Tensor, int, Counts] | None = None

    def take(self, spikes: Tensor, counts: Counts) -> None:
        """Of inference mode's tensors nobody can tell whether they were written to since: of these nothing is kept."""
        self._last = None if spikes.is_inference() else (spikes, spikes._version, counts)

    def of(self, output: Tensor, values: Values | None) -> Counts | None:
        """The counts of ``output``, if it is those spikes, unchanged, declared as zeros and ones; and forget them."""
        last, self._last = self._last, None
        if last is None or values != BINARY:
            return None
        spikes, version, counts = last
        same = output.untyped_storage()._cdata == spikes.untyped_storage()._cdata and output.dtype == spikes.dtype
        alike = output.shape == spikes.shape and output.stride() == spikes.stride()
        return counts if same and alike and spikes._version == version else None

    def forget(self) -> None:
        """The call is over."""
        self._last = None
