"""What of a report is printed after a run."""

from spikebench.reading.reports.document import Heading, Text
from spikebench.reading.reports.report import document


def test_a_suite_of_times_alone_ends_with_its_times(make_frame, make_cell):
    def times(one, record):
        return record if record.metric == "latency" else None

    single = document(make_frame([make_cell()], times, suite="suite: s"), brief=True)
    assert [table.key for table in single.tables()] == ["comparison"]
    several = make_frame([make_cell(), make_cell(stem="scs")], times, suite="suite: s")
    several.records += tuple(record.under({"batch_size": 8, "backend": "numba"}) for record in several.records)
    printed = document(several, brief=True)
    assert [table.key for table in printed.tables()] == ["speed"]
    headings = [block.text for block in printed.blocks if isinstance(block, Heading)]
    assert headings == ["Answer", "Speed, memory and power"], "neither the recipe nor where numbers come from"


def test_without_records_it_says_so(make_frame, make_cell):
    assert document(make_frame([make_cell()], lambda one, record: None), brief=True).blocks == (
        Text("There are no results to report yet."),
    )
