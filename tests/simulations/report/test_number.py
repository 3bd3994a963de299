import pytest

from simulations.report.number import floored, percent, rate, significant, target


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (significant(0), "0"),
        (significant(0.012345), "0.0123"),
        (significant(9.999), "10.0"),
        (significant(12345.6), "12,346"),
        (percent(0.9449), "94.5 %"),
        (target(0.945), "94.5 %"),
        (rate(0.00042), "0.042 %"),
        (rate(0.1), "10.0 %"),
    ],
)
def test_numbers_have_a_fitting_number_of_digits(text: str, expected: str) -> None:
    assert text == expected


def test_a_lower_bound_is_rounded_down() -> None:
    assert floored(1.87, 2) == pytest.approx(1.8)
    assert floored(10.0) == pytest.approx(10.0)
    assert floored(23456.0, 2) == pytest.approx(23000.0)
