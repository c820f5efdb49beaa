"""The suite's question, and what its results say to it: the best, what each factor does, and what cannot be told."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.reading.model.chance import Signs
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.summary import quantities
from spikebench.reading.model.trials import Trial, Trials
from spikebench.reading.reports.document import Block, Text
from spikebench.reading.reports.sections.comparison import comparable
from spikebench.reading.reports.sections.energy_models import cheapest
from spikebench.reading.reports.trial_table import display, label, searches, spelled, test_accuracy, varying
from spikebench.reading.reports.verdict import lower, sentences


class Section:
    """First in every report; a paragraph for each data set and factor."""

    order = 5
    title = "Answer"
    trials = True
    brief = True

    def __call__(self, frame: Frame) -> Sequence[Block]:
        said = [searched(frame, trials) for trials in searches(frame) if trials.complete]
        trials_of = bool(said)
        sets = comparable(frame, list(frame.groups))
        everything = quantities(frame)
        # A search's trials have a seed each and no test accuracy: what they say is said above.
        for groups in sets if not trials_of else []:
            own = {q: {g: r for g, r in records.items() if g in groups} for q, records in everything.items()}
            found = sentences(frame, {q: records for q, records in own.items() if records}, groups)
            where = f"On {frame.groups[groups[0]].factors.get('dataset')}: " if len(sets) > 1 and found else ""
            said += [where + text if index == 0 else text for index, text in enumerate(found)]
        if len(sets) == 1 and not trials_of:
            # A suite with several models of energy asks for it.
            said = [text for text in [cheapest(frame)] if text] + said
        if not said:
            return []
        question = [Text(frame.suite.question, "question")] if frame.suite.question else []
        return [*question, *(Text(text, "answer") for text in said)]


def searched(frame: Frame, trials: Trials) -> str:
    """The ends of the front, or the best trial: what it is, what it reached, and whether it learned anything."""
    counted = f"Of {len(trials.complete)} complete trial{'s' * (len(trials.complete) != 1)}"
    if not trials.front:
        return f"{counted} none keeps the limits."
    only = {len(trials.front) - 1, 0} if len(trials.objectives) > 1 else {0}
    ends = [trials.front[place] for place in sorted(only)]
    told = [_told(frame, trials, trial) for trial in ends]
    signs = Signs(frame)
    dead = [f"#{trial.number}: {said}" for trial in ends if (said := signs.trial(trial.cell_id))]
    if len(trials.objectives) == 1:
        found = f"{counted} the best is {told[0]}."
    elif len(told) == 1:
        found = f"{counted} one is better than all others in everything: {told[0]}."
    else:
        found = f"{counted} {len(trials.front)} are beaten by no other, from {told[0]} to {told[-1]}."
    return " ".join([found, CAUTION, *dead])


def _told(frame: Frame, trials: Trials, trial: Trial) -> str:
    """``#7 (stem=scs depth=2: validation accuracy 71.67 %, energy 149.9 nJ; test accuracy 72.42 %)``"""
    values = []
    titles = [objective.quantity.metric.title for objective in trials.objectives]
    for index, (objective, value) in enumerate(zip(trials.objectives, trial.values, strict=True)):
        shown = display(objective, trials.complete, index)
        title = titles[index] if titles.count(titles[index]) == 1 else label(objective)
        values.append(f"{lower(title)} {shown.number(value)} {shown.unit}".rstrip())
    what = " ".join(f"{name}={spelled(trial.params[name])}" for name in varying(trials) if name in trial.params)
    reached = test_accuracy(frame).get(trial.cell_id)
    tested = "" if reached is None else f"; test accuracy {100 * reached:.2f} %"
    return f"#{trial.number} ({f'{what}: ' if what else ''}{', '.join(values)}{tested})"


CAUTION = "That is the validation split and one seed each: which of them is better, only more seeds can tell."
