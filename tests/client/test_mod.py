"""The mod around a ClientApp: plan in, telemetry out, everything else untouched."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Error,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp
from flwr.clientapp.mod import arrays_size_mod, fixedclipping_mod
from flwr.clientapp.typing import Mod

from deepedge_flwr.client import DeepEdgeMod, FreeCores, local_steps
from deepedge_flwr.core.clock import WallClock
from deepedge_flwr.core.gate import Gate
from deepedge_flwr.core.types import Telemetry, TrainPlan
from deepedge_flwr.records import (
    closed_for_s,
    get_gate_memory,
    get_telemetry,
    put_gate_memory,
    put_plan,
)
from deepedge_flwr.simulation import InProcessGrid

BATCHES = [1.0, 2.0, 4.0]


class ExactDevice:
    """A step takes 1 s and makes the service answer in 3 s; a pause lets it answer in 0.1 ms."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._latencies_s: list[float] = []

    def now_s(self) -> float:
        return self._now_s

    def end_step(self) -> None:
        self._now_s += 1.0
        self._latencies_s = [3.0]

    def pause(self, duration_s: float) -> None:
        self._now_s += duration_s
        self._latencies_s = [1e-4] * 1000

    def service_latencies_s(self) -> Sequence[float]:
        return self._latencies_s


def on_exact_device(_message: Message, _context: Context) -> ExactDevice:
    return ExactDevice()


def train(message: Message, _context: Context) -> Message:
    """Add every batch to the model, as a user's loop would."""
    weight = message.content.array_records["arrays"]["w"].numpy().copy()
    for batch in local_steps(BATCHES):
        weight += batch
    arrays = ArrayRecord({"w": Array(weight)})
    metrics = MetricRecord({"num-examples": len(BATCHES)})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


def echo(message: Message, _context: Context) -> Message:
    return Message(message.content, reply_to=message)


@pytest.fixture(autouse=True)
def inside_a_task() -> None:
    """Flower builds messages only inside one of its tasks; the grid makes this process one."""
    InProcessGrid(ClientApp(), 1)


def message_with(plan: TrainPlan | None, message_type: str = "train", **config: Any) -> Message:
    record = ConfigRecord(config) if plan is None else put_plan(ConfigRecord(config), plan, 0)
    arrays = ArrayRecord({"w": Array(np.zeros(1))})
    content = RecordDict({"arrays": arrays, "config": record})
    return Message(content, dst_node_id=1, message_type=message_type)


def context_with(**node_config: Any) -> Context:
    config = {key.replace("_", "-"): value for key, value in node_config.items()}
    return Context(run_id=1, node_id=42, node_config=config, state=RecordDict(), run_config={})


def one_pause_s(budget_s: float) -> float:
    """Return how long a gate with this budget holds training back before it looks again."""
    gate = Gate(budget_s)
    gate.observe([3.0])
    return gate.decide().pause_s


def weight_of(reply: Message) -> float:
    return float(reply.content.array_records["arrays"]["w"].numpy()[0])


def test_the_plan_is_followed_and_reported() -> None:
    mod = DeepEdgeMod(device=on_exact_device)
    reply = mod(message_with(TrainPlan(num_steps=4)), context_with(), train)
    assert weight_of(reply) == 1 + 2 + 4 + 1
    telemetry = get_telemetry(reply.content)
    assert telemetry == Telemetry(num_steps=4, busy_s=4.0, num_requests=4, service_p99_s=3.0)


def test_the_gate_of_the_plan_pauses_training() -> None:
    plan = TrainPlan(num_steps=2, latency_budget_s=2.0)
    reply = DeepEdgeMod(device=on_exact_device)(message_with(plan), context_with(), train)
    telemetry = get_telemetry(reply.content)
    assert telemetry is not None
    assert (telemetry.num_steps, telemetry.busy_s, telemetry.paused_s) == (2, 2.0, one_pause_s(2.0))
    assert (telemetry.num_requests, telemetry.num_violations) == (1002, 2)


def test_a_device_of_none_is_this_machine_and_its_probe() -> None:
    probed: Iterator[list[float]] = iter([[9.0] * 5, [0.5], [0.25, 0.25]])
    mod = DeepEdgeMod(probe=lambda: next(probed), device=lambda _message, _context: None)
    reply = mod(message_with(TrainPlan(num_steps=2)), context_with(), train)
    telemetry = get_telemetry(reply.content)
    assert telemetry is not None
    assert (telemetry.num_steps, telemetry.num_requests) == (2, 3)


@pytest.mark.parametrize(("device", "cores"), [(None, 2), (on_exact_device, 1)])
def test_an_app_gets_the_cores_that_the_owner_allows_and_one_on_a_simulated_device(
    device: Callable[[Message, Context], Any] | None, cores: int
) -> None:
    counts = []

    def count(message: Message, context: Context) -> Message:
        with FreeCores(4) as cores:
            counts.append(cores.count)
        return train(message, context)

    plan = message_with(TrainPlan(num_steps=1))
    DeepEdgeMod(device=device)(plan, context_with(max_threads=2), count)
    assert counts == [cores]


def test_the_device_reports_the_name_its_own_configuration_gives_it() -> None:
    context = context_with(device_id="camera-3")
    reply = DeepEdgeMod()(message_with(TrainPlan(num_steps=1)), context, train)
    telemetry = get_telemetry(reply.content)
    assert telemetry is not None
    assert telemetry.device_id == "camera-3"


def test_a_message_without_a_plan_is_trained_on_as_ever() -> None:
    reply = DeepEdgeMod()(message_with(None), context_with(), train)
    assert weight_of(reply) == sum(BATCHES)
    assert get_telemetry(reply.content) is None


@pytest.mark.parametrize("message_type", ["query", "evaluate", "query.train"])
def test_messages_that_do_not_ask_for_training_pass_untouched(message_type: str) -> None:
    # Even one with a plan in its config, and even with a node config that training would refuse.
    message = message_with(TrainPlan(num_steps=1), message_type)
    reply = DeepEdgeMod()(message, context_with(latency_budget_ms=-1), echo)
    assert list(reply.content) == ["arrays", "config"]
    assert reply.content["config"] == message.content["config"]


def test_an_empty_query_passes() -> None:
    message = Message(RecordDict(), dst_node_id=1, message_type="query")
    assert list(DeepEdgeMod()(message, context_with(), echo).content) == []


def test_a_loop_without_local_steps_reports_nothing() -> None:
    # Telemetry of zero steps would be a lie; the server says once that it gets none.
    reply = DeepEdgeMod()(message_with(TrainPlan(num_steps=2)), context_with(), echo)
    assert get_telemetry(reply.content) is None


def test_an_error_reply_is_passed_on() -> None:
    def fail(message: Message, _context: Context) -> Message:
        list(local_steps(BATCHES))
        return Message(Error(code=7, reason="no disk"), reply_to=message)

    reply = DeepEdgeMod()(message_with(TrainPlan(num_steps=2)), context_with(), fail)
    assert reply.error.reason == "no disk"


def test_a_train_function_without_a_reply_is_an_error_that_names_the_node() -> None:
    def forget_the_reply(_message: Message, _context: Context) -> Any:
        return None

    message = message_with(TrainPlan(num_steps=1))
    with pytest.raises(TypeError, match="returned NoneType on node 42: it must return a Message"):
        DeepEdgeMod()(message, context_with(), forget_the_reply)


@pytest.mark.parametrize(
    ("message_type", "plan"),
    [("train", None), ("evaluate", None), ("evaluate", TrainPlan(num_steps=1)), ("query", None)],
)
def test_without_a_plan_a_missing_reply_names_function_and_node(
    message_type: str, plan: TrainPlan | None
) -> None:
    def forget_the_reply(_message: Message, _context: Context) -> Any:
        return None

    match = f"{message_type} function returned NoneType on node 42: it must return a Message"
    with pytest.raises(TypeError, match=match):
        DeepEdgeMod()(message_with(plan, message_type), context_with(), forget_the_reply)


@pytest.mark.parametrize("budget_ms", [2000, 2000.0])
def test_the_node_s_own_budget_wins_over_the_plan_s(budget_ms: float) -> None:
    # 3 s a request break the node's 2 s; the plan's 60 s would let all of them pass.
    plan = TrainPlan(num_steps=2, latency_budget_s=60.0)
    context = context_with(latency_budget_ms=budget_ms)
    reply = DeepEdgeMod(device=on_exact_device)(message_with(plan), context, train)
    telemetry = get_telemetry(reply.content)
    assert telemetry is not None
    assert (telemetry.num_violations, telemetry.paused_s) == (2, one_pause_s(2.0))


def test_a_node_may_have_a_budget_where_the_plan_has_none() -> None:
    context = context_with(latency_budget_ms=2000)
    message = message_with(TrainPlan(num_steps=2))
    reply = DeepEdgeMod(device=on_exact_device)(message, context, train)
    telemetry = get_telemetry(reply.content)
    assert telemetry is not None
    assert telemetry.num_violations == 2


@pytest.mark.parametrize("budget_ms", [0, -5.0, "fast", float("nan")])
def test_a_node_config_that_is_no_budget_is_an_error(budget_ms: object) -> None:
    message = message_with(TrainPlan(num_steps=1))
    match = f"node config latency-budget-ms must be a number > 0, got {budget_ms!r}"
    with pytest.raises(ValueError, match=match):
        DeepEdgeMod()(message, context_with(latency_budget_ms=budget_ms), train)


@pytest.mark.parametrize(
    "mods",
    [
        [DeepEdgeMod()],
        [DeepEdgeMod(), fixedclipping_mod, arrays_size_mod],
        [fixedclipping_mod, arrays_size_mod, DeepEdgeMod()],
        [arrays_size_mod, DeepEdgeMod(), fixedclipping_mod],
    ],
    ids=["alone", "outermost", "innermost", "between"],
)
def test_the_mod_nests_with_flower_s_own(mods: list[Mod]) -> None:
    app = ClientApp(mods=mods)
    register: Callable[[Any], Any] = app.train()
    register(train)
    grid = InProcessGrid(app, 2)
    message = message_with(TrainPlan(num_steps=4), clipping_norm=2.0)
    (reply,) = grid.send_and_receive([message])
    assert not reply.has_error(), reply.error.reason
    clipped = fixedclipping_mod in mods
    assert weight_of(reply) == pytest.approx(2.0 if clipped else 8.0)
    telemetry = get_telemetry(reply.content)
    assert telemetry is not None
    assert telemetry.num_steps == 4
    assert list(reply.content.metric_records) == ["metrics"]


def test_a_node_s_duty_rests_between_its_steps() -> None:
    message = message_with(TrainPlan(num_steps=3))
    reply = DeepEdgeMod(device=on_exact_device)(message, context_with(max_duty=0.25), train)
    telemetry = get_telemetry(reply.content)
    assert telemetry is not None
    assert (telemetry.busy_s, telemetry.paused_s) == (3.0, 2 * 3.0)


@pytest.mark.parametrize("plan", [None, TrainPlan(num_steps=1)])
def test_outside_its_window_a_node_takes_no_training_under_any_strategy(
    plan: TrainPlan | None,
) -> None:
    def never(_message: Message, _context: Context) -> Message:
        raise AssertionError("the app was called")

    hour = int(WallClock().second_of_day() // 3600)
    context = context_with(train_window=f"{(hour + 3) % 24:02}:00-{(hour + 4) % 24:02}:00")
    reply = DeepEdgeMod()(message_with(plan), context, never)
    wait_s = closed_for_s(reply)
    assert wait_s is not None and 2 * 3600 - 60 <= wait_s <= 3 * 3600
    assert DeepEdgeMod()(message_with(plan, "evaluate"), context, echo).has_content()
    inside = context_with(train_window=f"{hour:02}:00-{(hour + 2) % 24:02}:00")
    assert DeepEdgeMod()(message_with(plan), inside, train).has_content()


def test_the_probe_of_the_node_s_configuration_wins() -> None:
    context = context_with(latency_probe=f"{__name__}:one_second")
    mod = DeepEdgeMod(probe=lambda: [9.0])
    reply = mod(message_with(TrainPlan(num_steps=2)), context, train)
    telemetry = get_telemetry(reply.content)
    assert telemetry is not None
    assert telemetry.service_p99_s == 1.0


def one_second() -> list[float]:
    """A probe."""
    return [1.0]


def latencies_once(value: float) -> Callable[[], list[float]]:
    looks = iter([[value, 1.1 * value]])
    return lambda: next(looks, [])


@pytest.mark.parametrize("kind", ["dead", "silent", "lying"])
@pytest.mark.parametrize(("on_failure", "num_steps"), [("stop", 0), ("train", 3)])
def test_a_service_that_cannot_be_seen_stops_training_and_it_is_told(
    kind: str, on_failure: str, num_steps: int
) -> None:
    def dead() -> list[float]:
        raise OSError("no such device")

    probes: dict[str, Callable[[], list[float]]] = {
        "dead": dead,
        "silent": list,
        "lying": lambda: [0.0],
    }
    context = context_with(latency_budget_ms=50, probe_silence_s=0.02, on_probe_failure=on_failure)
    reply = DeepEdgeMod(probe=probes[kind])(message_with(TrainPlan(num_steps=3)), context, train)
    told = get_telemetry(reply.content)
    assert told is not None
    assert told.num_steps == num_steps
    words = {"dead": "no such device", "silent": "saw no request", "lying": "reported 0.0"}
    assert words[kind] in told.trouble
    assert told.trouble.endswith("unprotected") == (on_failure == "train")


def test_the_gate_of_the_next_message_knows_what_this_one_saw() -> None:
    context = context_with(latency_budget_ms=1000)
    plan = TrainPlan(num_steps=1)
    DeepEdgeMod(probe=latencies_once(0.5))(message_with(plan), context, train)
    memory = get_gate_memory(context.state)
    expected = Gate(1.0)
    expected.observe([0.5, 1.1 * 0.5])
    assert memory == expected.memory
    # 5 s of the last job hold up the next one, though its own first latencies are good.
    put_gate_memory(context.state, [math.log(5.0), 0.0, 2.0, 0.0])
    looks = iter([[0.01], [0.01] * 100])
    mod = DeepEdgeMod(probe=lambda: next(looks, []))
    context.node_config["latency-budget-ms"] = 20
    reply = mod(message_with(plan), context, train)
    told = get_telemetry(reply.content)
    assert told is not None
    assert told.paused_s > 0
    assert told.num_steps == 1


def test_a_simulated_device_leaves_no_memory() -> None:
    context = context_with(latency_budget_ms=2000)
    DeepEdgeMod(device=on_exact_device)(message_with(TrainPlan(num_steps=1)), context, train)
    assert not context.state


def test_under_a_strategy_without_plans_the_owner_s_duty_holds_and_nothing_else_changes() -> None:
    reply = DeepEdgeMod(device=on_exact_device)(message_with(None), context_with(), train)
    assert weight_of(reply) == sum(BATCHES)
    devices: list[ExactDevice] = []

    def device(_message: Message, _context: Context) -> ExactDevice:
        devices.append(ExactDevice())
        return devices[-1]

    context = context_with(max_duty=0.25)
    reply = DeepEdgeMod(device=device)(message_with(None), context, train)
    assert weight_of(reply) == sum(BATCHES)
    assert get_telemetry(reply.content) is None
    assert devices[-1].now_s() == 3 * 1.0 + 3 * 3.0


def test_a_node_with_a_budget_and_nothing_that_sees_it_kept_is_told_so() -> None:
    message = message_with(TrainPlan(num_steps=1))
    match = "node config latency-budget-ms needs latency-probe"
    with pytest.raises(ValueError, match=match):
        DeepEdgeMod()(message, context_with(latency_budget_ms=20), train)


def test_a_strategy_s_budget_where_there_is_no_probe_is_reported() -> None:
    message = message_with(TrainPlan(num_steps=2, latency_budget_s=0.02))
    told = get_telemetry(DeepEdgeMod()(message, context_with(), train).content)
    assert told is not None
    assert told.num_steps == 2
    assert told.trouble == "no latency-probe: training goes on unprotected"
    assert not told.yielded


def test_an_untrained_model_is_an_error_to_a_strategy_without_plans() -> None:
    def dead() -> list[float]:
        raise OSError("no sensor")

    context = context_with(latency_budget_ms=20)
    reply = DeepEdgeMod(probe=dead)(message_with(None), context, train)
    assert "no sensor" in str(reply.error.reason)


def test_the_server_is_told_of_a_quantile_of_the_node_s_own() -> None:
    context = context_with(latency_budget_ms=1000, latency_quantile=0.9)
    message = message_with(TrainPlan(num_steps=1))
    told = get_telemetry(DeepEdgeMod(probe=latencies_once(0.5))(message, context, train).content)
    assert told is not None
    assert told.latency_quantile == 0.9
