"""The suite's question, and what its results say to it: the best, what each factor does, and what cannot be told."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.reading.model.frame import Frame
from spikebench.reading.model.summary import quantities
from spikebench.reading.model.trials import Trials
from spikebench.reading.reports.document import Block, Text
from spikebench.reading.reports.sections.comparison import comparable
from spikebench.reading.reports.trial_table import display, label, searches
from spikebench.reading.reports.verdict import sentences


class Section:
    """First in every report; a paragraph for each data set and factor."""

    order = 5
    title = "Answer"
    brief = True

    def __call__(self, frame: Frame) -> Sequence[Block]:
        said = [text for trials in searches(frame) if trials.complete for text in [searched(trials)]]
        sets = comparable(frame, list(frame.groups))
        everything = quantities(frame)
        # A search's trials have a seed each and no test accuracy: what they say is said above.
        for groups in sets if not said else []:
            own = {q: {g: r for g, r in records.items() if g in groups} for q, records in everything.items()}
            found = sentences(frame, {q: records for q, records in own.items() if records}, groups)
            where = f"On {frame.groups[groups[0]].factors.get('dataset')}: " if len(sets) > 1 and found else ""
            said += [where + text if index == 0 else text for index, text in enumerate(found)]
        if not said:
            return []
        question = [Text(frame.suite.question, "question")] if frame.suite.question else []
        return [*question, *(Text(text, "answer") for text in said)]


def searched(trials: Trials) -> str:
    """The ends of the front, or the best trial."""
    counted = f"Of {len(trials.complete)} complete trials"
    if not trials.front:
        return f"{counted} none keeps the limits."

    def told(number: int) -> str:
        trial = trials.front[number]
        values = []
        for index, (objective, value) in enumerate(zip(trials.objectives, trial.values, strict=True)):
            shown = display(objective, trials.complete, index)
            values.append(f"{label(objective)} {shown.number(value)} {shown.unit}".rstrip())
        return f"#{trial.number} ({', '.join(values)})"

    caution = "Validation split and one seed each: which of them is better, only more seeds can tell."
    if len(trials.objectives) == 1:
        return f"{counted} the best is {told(0)}. {caution}"
    others = f" to {told(-1)}" if len(trials.front) > 1 else ""
    return f"{counted} {len(trials.front)} are beaten by no other, from {told(0)}{others}. {caution}"
