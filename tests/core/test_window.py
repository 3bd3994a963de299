"""Hours of the day."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepedge_flwr.core.window import DAY_S, TrainWindow

H = 3600


@pytest.mark.parametrize(
    ("text", "hour", "opens_in_h"),
    [
        ("22:00-06:00", 22, 0),
        ("22:00-06:00", 5.99, 0),
        ("22:00-06:00", 6, 16),
        ("22:00-06:00", 0, 0),
        ("12:00-13:00", 13, 23),
        ("12:00-13:00", 11.5, 0.5),
        ("12:00-13:00, 22:30-06:00", 13, 9.5),
        ("0:00-00:00", 7, 0),
        ("09:15-09:15", 9, 0),
    ],
)
def test_when_it_opens(text: str, hour: float, opens_in_h: float) -> None:
    assert TrainWindow.parse(text).opens_in_s(hour * H) == pytest.approx(opens_in_h * H)


@given(st.integers(0, DAY_S // 60 - 1), st.integers(0, DAY_S // 60 - 1), st.floats(0, DAY_S - 1))
def test_after_the_wait_it_is_open(start: int, end: int, now_s: float) -> None:
    text = f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
    window = TrainWindow.parse(text)
    wait_s = window.opens_in_s(now_s)
    assert 0 <= wait_s < DAY_S
    assert window.opens_in_s((now_s + wait_s + 1e-6) % DAY_S) == 0


@pytest.mark.parametrize(
    "text", ["", "22-6", "22:00", "24:00-06:00", "22:60-23:00", "a,22:00-6:00"]
)
def test_something_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be ranges of the day like 22:00-06:00"):
        TrainWindow.parse(text)
