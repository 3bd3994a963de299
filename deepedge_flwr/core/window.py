"""Hours of the day in which a device may train."""

import re
from dataclasses import dataclass

DAY_S = 24 * 60 * 60
_RANGE = re.compile(r"\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*")


@dataclass(frozen=True, slots=True)
class TrainWindow:
    """Ranges of the day, each from its start up to, and without, its end.

    Attributes
    ----------
    ranges : tuple of (start_s, end_s)
        Seconds since midnight; an end that is not after its start is one of the next day, so equal
        ones are the whole day.
    """

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> "TrainWindow":
        """Read "22:00-06:00", or several ranges with commas between them.

        Raises
        ------
        ValueError
            If it is something else.
        """
        ranges = []
        for part in text.split(","):
            match = _RANGE.fullmatch(part)
            hours = [int(group) for group in match.groups()] if match else [99]
            if match is None or max(hours[::2]) > 23 or max(hours[1::2]) > 59:
                raise ValueError(
                    f"must be ranges of the day like 22:00-06:00 or 12:00-13:00,22:00-06:00, got "
                    f"{text!r}"
                )
            start, end = hours[0] * 3600 + hours[1] * 60, hours[2] * 3600 + hours[3] * 60
            ranges.append((start, end))
        return cls(tuple(ranges))

    def opens_in_s(self, second_of_day: float) -> float:
        """Return in how many seconds training may begin: 0 inside the window."""
        waits_s = []
        for start_s, end_s in self.ranges:
            since_start_s = (second_of_day - start_s) % DAY_S
            length_s = (end_s - start_s) % DAY_S or DAY_S
            waits_s.append(0.0 if since_start_s < length_s else DAY_S - since_start_s)
        return min(waits_s)
