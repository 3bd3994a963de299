"""The figures of a suite as plain values, for CSV: full precision, one row per line of a table."""

from ..report.spread import Reach, Spread
from .comparison import Comparison, Entry, Ratio, standings
from .index import Results

Row = dict[str, object]


def scenario_values(results: Results) -> list[Row]:
    """Return a row per scenario and arm; times in s, censored seeds counted as the horizon."""
    return [
        _scenario(results, c, arm, entry)
        for c in results.comparisons
        for arm, entry in c.entries.items()
    ]


def summary_values(results: Results) -> list[Row]:
    """Return a row per arm over all scenarios."""
    return [
        {
            "arm": row.arm,
            **_ratio("time_to_oracle", row.to_oracle),
            **_ratio("time_to_best_baseline", row.to_best_baseline),
            "num_won": row.num_won,
            "num_complete": row.num_complete,
            "num_scenarios": row.num_scenarios,
            **_ratio("worst_time_to_oracle", row.worst),
        }
        for row in standings(results.comparisons)
    ]


def _scenario(results: Results, c: Comparison, arm: str, entry: Entry) -> Row:
    row: Row = {"task": c.task, "fleet": c.fleet, "arm": arm, "winner": c.winner == arm}
    row["choice"] = " ".join(entry.choice)
    for index, mark in enumerate(results.marks):
        row |= _reach(f"time_{100 * mark:g}_s", entry.time_s(index))
    row |= _reach("bytes_to_target", entry.num_bytes)
    if not results.stops:
        row |= _spread("final_accuracy", entry.spread_of("final_accuracy"))
    row |= _spread("bytes_wasted", entry.spread_of("bytes_wasted"))
    row |= _spread("violation_rate", entry.violation_rate)
    row |= _spread("utilisation", entry.spread_of("utilisation"))
    row |= _ratio("time_to_oracle", c.to_oracle(arm))
    return row | _ratio("time_to_best_baseline", c.to_best_baseline(arm))


def _reach(name: str, value: Reach) -> Row:
    return {
        f"{name}_mean": value.mean,
        f"{name}_low": value.low,
        f"{name}_high": value.high,
        f"{name}_reached": value.reached,
        f"{name}_seeds": value.total,
    }


def _spread(name: str, value: Spread | None) -> Row:
    keys = ("mean", "low", "high")
    return {f"{name}_{key}": None if value is None else getattr(value, key) for key in keys}


def _ratio(name: str, value: Ratio | None) -> Row:
    if value is None:
        return {name: None, f"{name}_bound": ""}
    return {name: value.value, f"{name}_bound": value.mark.strip()}
