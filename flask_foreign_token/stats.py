"""How things stand in one process, as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import metrics
from .errors import Refusal
from .metrics import METRICS, Distribution, Metric, Sample
from .registry.schemas import SCHEMAS

if TYPE_CHECKING:
    from .application import Application
    from .introspection.remote_keys import KeySourceState
    from .registry.live import LiveRegistry


def stats(application: Application) -> dict[str, list[dict[str, Any]]]:
    """What this process has counted, and how things stand in it, by the names of :data:`.METRICS`; for JSON."""
    found: dict[str, list[dict[str, Any]]] = {metric.name: [] for metric in METRICS}
    for sample in samples(application):
        found[sample.metric.name].append(sample.as_dict())
    return found


def samples(application: Application) -> Iterator[Sample[float | Distribution]]:
    """All series of this process. Nothing is fetched or looked at for it."""
    yield from application.metrics().samples()
    yield from gauges(application)


def gauges(application: Application) -> Iterator[Sample[float]]:
    """The series that are not counted; none of a registry that was never looked at."""
    try:
        runtime = application.runtime()
    except Refusal:
        # The database is not set up for the app; every request is told so.
        return
    yield from _of_registry(runtime.registry)
    for cache, size in runtime.cached().items():
        yield Sample(metrics.CACHED, (cache,), size)
    snapshot = runtime.registry.in_force
    for source in [] if snapshot is None else snapshot.key_sources:
        yield from _of_keys(source)


def _of_registry(registry: LiveRegistry) -> Iterator[Sample[float]]:
    state = registry.state
    if state.version is None and state.fault is None:
        return
    conditions = {"in_force": state.version is not None, "reachable": state.is_reachable, "ready": state.is_ready}
    for name, holds in conditions.items():
        yield Sample(metrics.REGISTRY_STATE, (name,), int(holds))
    if state.looked_at is not None:
        yield Sample(metrics.REGISTRY_LOOKED, (), state.looked_at)
    yield from _by_type(metrics.RESOURCES, state.resources)
    yield from _by_type(metrics.OUT_OF_SERVICE, state.idle)


def _by_type(metric: Metric, numbers: Mapping[str, int]) -> Iterator[Sample[float]]:
    """A series for each type there is; what a row says that somebody wrote by hand makes none of its own."""
    for type_ in SCHEMAS:
        yield Sample(metric, (type_,), numbers.get(type_, 0))
    others = sum(number for type_, number in numbers.items() if type_ not in SCHEMAS)
    if others:
        yield Sample(metric, (metrics.OTHER,), others)


def _of_keys(source: KeySourceState) -> Iterator[Sample[float]]:
    for id_ in source.introspectors:
        yield Sample(metrics.KEYS, (id_,), len(source.keys))
        if source.fetched_at is not None:
            yield Sample(metrics.KEYS_FETCHED, (id_,), source.fetched_at)
        if source.refresh_at is not None:
            yield Sample(metrics.KEYS_DUE, (id_,), source.refresh_at)
        yield Sample(metrics.KEYS_FAILING, (id_,), int(source.last_error is not None))
