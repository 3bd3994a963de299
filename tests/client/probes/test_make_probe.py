"""What a node's configuration may name as its probe."""

from pathlib import Path

import pytest

from deepedge_flwr.client.probes import (
    HttpProbe,
    PressureProbe,
    PrometheusProbe,
    SocketProbe,
    WakeUpProbe,
    make_probe,
)


def nothing_new() -> list[float]:
    """A probe of an app."""
    return []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("http://127.0.0.1:8080/infer", HttpProbe),
        ("https://localhost/infer?part=7", HttpProbe),
        ("prometheus:http://127.0.0.1:9100/metrics#latency_seconds", PrometheusProbe),
        ("unix:/run/press-4.sock", SocketProbe),
        ("wake-up", WakeUpProbe),
        ("pressure", PressureProbe),
        ("pressure:/sys/fs/cgroup/line/cpu.pressure", PressureProbe),
    ],
)
def test_each_kind_has_a_form(text: str, kind: type) -> None:
    assert type(make_probe(text)) is kind


def test_a_function_of_the_app() -> None:
    assert make_probe(f"{__name__}:nothing_new")() == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("unix:press.sock", "must be unix:/PATH with an absolute path"),
        ("prometheus:http://127.0.0.1/metrics", "must be prometheus:URL#METRIC"),
        ("prometheus:127.0.0.1#latency", "must be prometheus:URL#METRIC"),
        ("wakeup", r"must be http\(s\)://..., .* or module:function, got 'wakeup'"),
        (".relative:function", "must be .* got '.relative:function'"),
        ("math:pi", "it cannot be called"),
    ],
)
def test_what_names_none_is_an_error(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        make_probe(text)


def test_a_module_that_cannot_be_imported_is_an_error_of_the_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_probe.py").write_text("raise RuntimeError('no sensor')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match="got 'broken_probe:read': no sensor"):
        make_probe("broken_probe:read")
