"""An image's result does not depend on its neighbours: alone, in a batch, reordered, beside itself (references.md 1.11)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from spikebench.auditing.calls import distance, picks
from spikebench.auditing.patient import EXACT, Patient, Undecidable, scale
from spikebench.auditing.watch import Event, first_difference, watching
from spikebench.core.findings import Finding

Results = Sequence[Tensor]


class Check:
    """In evaluation mode and float64; one of the images is silent, beside which averages over a batch show."""

    title = "Batch invariance"
    order = 10

    def __call__(self, patient: Patient) -> Finding:
        model, batch = patient.exact, patient.few
        count = batch[0].shape[patient.axis]
        alone = [patient.one(batch, index, count) for index in range(count)]
        apart = [patient.call(model, one) for one in alone]
        together = patient.call(model, batch)
        if not any(self._of(whole, part, [0]) for whole, part in zip(together, apart[0], strict=False)):
            raise Undecidable("its output has no axis that grows with the batch")
        order = [*range(1, count), 0]
        turned = patient.call(model, patient.turned(batch, order))
        twice = patient.call(model, patient.turned(batch, [0] * count))
        worst = {
            "in a batch": max(self._apart(together, one, [i]) for i, one in enumerate(apart)),
            "in another order": max(self._apart(turned, apart[i], [place]) for place, i in enumerate(order)),
            "beside itself": max(self._apart(twice, apart[0], [place]) for place in range(count)),
        }
        figure, limit = max(worst.values()), EXACT * scale(together)
        if figure <= limit:
            said = f"{count} images have the same results alone, in a batch, in another order and beside themselves"
            return Finding("batch_invariance", "pass", said, figure, "largest difference of results")
        index = max(range(count), key=lambda i: self._apart(together, apart[i], [i]))
        layer = self._layer(patient, batch, alone[index], index, limit)
        how = ", ".join(words for words, difference in worst.items() if difference > limit)
        said = f"an image's result depends on what stands beside it ({how}): no number of one image alone is published with it"
        return Finding("batch_invariance", "fail", said, figure, "largest difference of results", layer)

    @staticmethod
    def _of(whole: Tensor, part: Tensor, indices: Sequence[int]) -> list[Tensor]:
        return list(picks(whole, part, indices))

    def _apart(self, whole: Results, one: Results, indices: Sequence[int]) -> float:
        return max(map(self._pair(indices), whole, one), default=0.0)

    def _pair(self, indices: Sequence[int]) -> Callable[[Tensor, Tensor], float]:
        """The smallest over the ways in which the samples may lie: a wrong way has no reason to agree."""
        return lambda whole, part: min((distance(way, part) for way in picks(whole, part, indices)), default=0.0)

    def _layer(self, patient: Patient, batch: Results, one: Results, index: int, limit: float) -> str:
        pair = self._pair([index])

        def compare(a: Event, b: Event) -> float | None:
            return max(map(pair, a.tensors, b.tensors), default=None)

        with watching(patient.exact) as whole:
            patient.call(patient.exact, batch)
        with watching(patient.exact) as part:
            patient.call(patient.exact, one)
        place = first_difference(whole, part, compare, limit)
        return "" if place is None else patient.name(place.layer)
