import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikebench.core.metrics import Metric
from spikebench.reading.model.display import display_for, points
from spikebench.reading.reports.document import mark

ACCURACY = Metric("accuracy", "1", "higher", "measured", "Accuracy", display_unit="%", display_factor=100.0, digits=2)
EVENTS = Metric("events", "1", "lower", "counted", "SOPs", display_unit="M", display_factor=1e-6)
COUNT = Metric("count", "1", None, "counted", "Count")
ENERGY = Metric("energy", "J", "lower", "estimated", "Energy", display_unit="mJ", display_factor=1e3)
TIME = Metric("latency", "s", "lower", "measured", "Latency")


@pytest.mark.parametrize(
    ("metric", "values", "shown"),
    [
        (ACCURACY, [0.98765, 0.5], "98.77 %"),
        (EVENTS, [1.5e6, 2.5e6], "1.500 M"),
        (EVENTS, [54_420.0, 10_600.0], "54.42 k"),  # M would make 0.054
        (ENERGY, [1.771e-6], "1.771 µJ"),  # mJ would make 0.002
        (ENERGY, [0.0115], "11.50 mJ"),
        (COUNT, [12, 3], "12"),  # whole numbers have no decimals
        (COUNT, [0], "0"),
        (TIME, [0.0123], "12.30 ms"),
        (TIME, [3.5], "3.500 s"),
        (EVENTS, [0], "0 M"),
    ],
)
def test_units_suit_the_values(metric, values, shown):
    display = display_for(metric, values)
    assert f"{display.number(values[0])} {display.unit}".strip() == shown


@given(st.floats(1e-15, 1e15), st.sampled_from([ACCURACY, EVENTS, ENERGY, TIME, COUNT]))
def test_what_is_not_zero_never_reads_zero(value, metric):
    text = display_for(metric, [value]).number(value)
    if not (metric is COUNT and value < 1e-3):
        assert any(digit in text for digit in "123456789")


@given(st.floats(1e-9, 1e9), st.sampled_from([EVENTS, ENERGY, TIME]))
def test_the_shown_number_is_the_value(value, metric):
    display = display_for(metric, [value])
    assert float(display.number(value).replace(",", "")) / display.factor == pytest.approx(value, rel=0.01)


def test_differences_have_signs_points_and_a_true_minus():
    display = points(display_for(ACCURACY, [0.0139]))
    assert (display.number(0.0139), display.number(-0.0139), display.unit) == ("+1.39", "\N{MINUS SIGN}1.39", "pp")
    assert display.number(0.0) == "0.00"
    assert display.number(-0.00001) == "0.00"


def test_half_widths_have_the_columns_decimals():
    assert display_for(ACCURACY, [0.98]).text(0.98, 0.01234) == "98.00 ± 1.23"


def test_footnote_marks():
    assert [mark(i) for i in (0, 25, 26, 27, 51, 52)] == ["a", "z", "aa", "ab", "az", "ba"]
