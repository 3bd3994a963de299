"""Which services and which trainings are put side by side."""

from dataclasses import dataclass, replace

from .service import Load
from .trainer import Training

LIGHT = (Load(period_s=0.01, work_s=0.0017),)
HEAVY = (Load(period_s=0.02, work_s=0.0146),) * 2
HTTP_LIGHT = (Load(period_s=0.02, work_s=0.003, over_http=True),)
HTTP_HEAVY = (Load(period_s=0.02, work_s=0.012, over_http=True),) * 2
BURSTS = (Load(period_s=0.005, work_s=0.003, burst_s=0.5, every_s=1.5),)
CACHED = (Load(period_s=0.01, work_s=0.0017, table_mib=4.0),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Services and a training.

    Attributes
    ----------
    name : str
        In words.
    loads : tuple[Load, ...]
        The services.
    training : Training
        What trains.
    same_session : bool
        Whether in the session of the services.
    least_pace : float | None
        What protected training promises of the pace that the idle processor time allows.
    ablated : bool
        Whether to try each mechanism alone, too.
    gated : bool
        Whether to try the gate alone, too.
    free_cores : bool
        Whether protected training cuts its steps for `FreeCores`, as DEPLOYMENT.md advises, or
        leaves them to OpenMP, where it advises that and where there are no samples to cut. Both
        have the environment that it advises: bound threads and huge pages.
    """

    name: str
    loads: tuple[Load, ...]
    training: Training
    same_session: bool = False
    least_pace: float | None = None
    ablated: bool = False
    gated: bool = False
    free_cores: bool = True


def _scenario(kind: str, loads: tuple[Load, ...], step_s: float, **options: object) -> Scenario:
    training = Training(step_s=step_s)
    text = f"{kind}, steps of {1000 * step_s:.0f} ms"
    return replace(Scenario(name=text, loads=loads, training=training), **options)  # type: ignore[arg-type]


SCENARIOS: tuple[Scenario, ...] = (
    _scenario("light control loop", LIGHT, 0.03, least_pace=0.9, ablated=True, gated=True),
    _scenario("light control loop", LIGHT, 0.005, least_pace=0.9, gated=True, free_cores=False),
    _scenario("light control loop", LIGHT, 0.2, least_pace=0.9, gated=True),
    replace(
        _scenario("light control loop in the same session", LIGHT, 0.03, least_pace=0.9),
        same_session=True,
    ),
    _scenario("heavy control loops", HEAVY, 0.03, least_pace=0.75, ablated=True),
    _scenario("heavy control loops", HEAVY, 0.005, least_pace=0.75, free_cores=False),
    _scenario("heavy control loops", HEAVY, 0.2, least_pace=0.75),
    _scenario("light HTTP inference", HTTP_LIGHT, 0.03, least_pace=0.9),
    _scenario("heavy HTTP inference", HTTP_HEAVY, 0.03, least_pace=0.75),
    _scenario("bursts of a control loop", BURSTS, 0.03, least_pace=0.9, ablated=True),
    replace(
        _scenario("service that lives on its cache, memory-bound training", CACHED, 0.03),
        training=Training(step_s=0.03, memory_mib=64.0),
        gated=True,
        free_cores=False,
    ),
)
