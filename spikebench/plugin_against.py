"""The item of ``pytest --spikebench SUITE --spikebench-against-ref REF``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

CANNOT_TELL = 3
"""Exit code of a gate that found no evidence either way."""


class AgainstItem(pytest.Item):
    """A whole suite against another commit, as ``spikebench check --against-ref`` has it. Skipped where it cannot tell."""

    def __init__(self, *, ref: str, **others: Any) -> None:
        super().__init__(**others)
        self.ref = ref

    def runtest(self) -> None:
        from spikebench.running.pairs.against import Other
        from spikebench.running.verbs.check_pairs import Effort, check_against

        gate = check_against(self.path, Other(ref=self.ref), Effort())
        self.user_properties += [(judgement.address, judgement.message) for judgement in gate.judgements]
        telling = [judgement.message for judgement in gate.judgements if judgement.gating and judgement.outcome != "pass"]
        said = "\n".join([gate.summary, *telling])
        if gate.exit_code == CANNOT_TELL:
            pytest.skip(said)
        if gate.exit_code:
            pytest.fail(said, pytrace=False)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from spikebench.core.errors import SpikebenchError

        return str(excinfo.value) if isinstance(excinfo.value, SpikebenchError) else super().repr_failure(excinfo, style)
