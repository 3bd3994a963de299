"""Events are counted, logged once each, and passed on."""

import logging

import pytest

from deepedge_flwr.strategy.events import Events


def test_events_are_counted_and_passed_on() -> None:
    events, heard = Events(), list[tuple[str, int]]()
    events.listener = lambda kind, node_id: heard.append((kind, node_id))
    events.happened("expired", 3)
    events.happened("failed", 3, "no reply")
    assert heard == [("expired", 3), ("failed", 3)]
    assert events.counts == {"expired": 1, "failed": 1}
    twin = Events()
    twin.restore(events.state())
    assert twin.counts == events.counts


def test_one_line_for_an_event_and_one_for_all(caplog: pytest.LogCaptureFixture) -> None:
    events = Events()
    with caplog.at_level(logging.INFO, logger="flwr"):
        events.happened("expired", 3)
        for node_id in (1, 2, 3, 3, 4, 5, 6):
            events.happened("failed", node_id, "broke")
        events.log_summary()
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "\t> node 1: broke"
    assert len(lines) == 8
    assert lines[-1] == (
        "\tevents: 1 expired, 7 failed; most failures: node 3: 2, node 1: 1, node 2: 1, "
        "node 4: 1, node 5: 1"
    )


def test_a_quiet_run_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="flwr"):
        Events().log_summary()
    assert caplog.records[-1].getMessage() == "\tevents: none"
