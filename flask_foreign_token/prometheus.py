"""The numbers of an app for Prometheus, by way of its client for Python: the extra ``prometheus``.

Nothing else of this package imports it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeAlias

import click
from flask import Flask, Response, request
from flask.cli import ScriptInfo, run_command
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from .application import Application
from .counting import Told
from .errors import ConfigError
from .extension import ForeignToken
from .metrics import METRICS, Distribution, Labels, Metric, Sample
from .per_process import PerProcess
from .stats import gauges, samples

PREFIX: Final = "foreign_token_"
"""What every name begins with."""

MULTIPROC_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of the environment that says where the workers of a server write what they count, for each other."""

_Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

_FAMILIES: Final[Mapping[str, type[_Family]]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def export(
    foreign_token: ForeignToken, app: Flask | None = None, *, registry: CollectorRegistry = REGISTRY
) -> Callable[[], Response]:
    """Let a registry of Prometheus' client have the numbers of an app.

    Call it once for each app, where the app is made. Where a server has several workers, ``PROMETHEUS_MULTIPROC_DIR``
    must be in the environment: each worker counts into files there, and the view tells of all of them. A command of
    ``flask`` other than ``flask run`` is no worker: it leaves that folder alone, and need not have it.

    :param app: as for :meth:`.ForeignToken.check`.
    :param registry: has the numbers of one app only.
    :return: a view that answers a scrape with all of `registry`, or of the files. It asks for nobody's leave: guard it,
        or serve it where only Prometheus comes.
    :raises ConfigError: ``PROMETHEUS_MULTIPROC_DIR`` names no folder, for a server.
    :raises ValueError: `registry` has the numbers of an app already.
    """
    application = foreign_token.application_of(app)
    folder = os.environ.get(MULTIPROC_DIR)
    if folder is None or _is_command():
        registry.register(_Collector(application))
        return lambda: _exposition(registry)
    if not Path(folder).is_dir():
        raise ConfigError(f"{MULTIPROC_DIR} names {folder!r}, which is no folder; make it before the server starts")
    mirror = _Mirror(application, registry)
    application.mirrors.append(mirror)
    application.metrics().mirror(mirror)
    return mirror.exposition


def _is_command() -> bool:
    """Whether the app is made for a command of ``flask`` that does not serve it."""
    context = click.get_current_context(silent=True)
    if context is None or context.find_object(ScriptInfo) is None:
        return False
    while context is not None and context.command is not run_command:
        context = context.parent
    return context is None


class _Collector(Collector):
    """Reads the numbers when they are asked for, so that they cost nothing before."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def describe(self) -> Iterable[Family]:
        return [_family(metric) for metric in METRICS]

    def collect(self) -> Iterable[Family]:
        families = {metric.name: _family(metric) for metric in METRICS}
        for sample in samples(self._application):
            _add(families[sample.metric.name], sample)
        return families.values()


class _Mirror:
    """Counts along in metrics of the client, which keeps them in files.

    What is not counted is brought there after every look at the registry, and when this worker is scraped.
    """

    def __init__(self, application: Application, registry: CollectorRegistry) -> None:
        self._application = application
        self._registry = registry
        self._counters = {metric.name: _counter(metric, registry) for metric in METRICS if metric.kind == "counter"}
        self._histograms = {
            metric.name: _histogram(metric, registry) for metric in METRICS if metric.kind == "histogram"
        }
        # A lock that is held in one process while another is forked from it would stay so there.
        self._setting = PerProcess(threading.Lock)
        # One without labels would be 0 in the files before it is anything.
        self._gauges = {
            metric.name: _gauge(metric, registry) for metric in METRICS if metric.kind == "gauge" and metric.labels
        }
        self._shown: dict[tuple[str, Labels], Gauge] = {}

    def told(self, metric: Metric, labels: Labels) -> Told:
        if metric.kind == "counter":
            return self._counters[metric.name].labels(*labels).inc
        return self._histograms[metric.name].labels(*labels).observe

    def looked(self) -> None:
        with self._setting():
            gone = dict(self._shown)
            for sample in gauges(self._application):
                self._show(sample)
                gone.pop((sample.metric.name, sample.labels), None)
            # Nothing can be taken out of the files.
            for gauge in gone.values():
                gauge.set(0)

    def exposition(self) -> Response:
        """The numbers of all workers; 503 in one whose own do not get there, so that its scrape is seen to fail."""
        metrics = self._application.metrics()
        metrics.looked()
        if not metrics.reaches(self):
            reason = "the numbers of this process are written no more, see its log\n"
            return Response(reason, HTTPStatus.SERVICE_UNAVAILABLE)
        of_all = CollectorRegistry()
        MultiProcessCollector(of_all)  # type: ignore[no-untyped-call]
        return _exposition(of_all)

    def _show(self, sample: Sample[float]) -> None:
        metric, labels, value = sample
        if metric.name not in self._gauges:
            self._gauges[metric.name] = _gauge(metric, self._registry)
        gauge = self._gauges[metric.name].labels(*labels) if labels else self._gauges[metric.name]
        self._shown[metric.name, labels] = gauge
        gauge.set(value)


def _counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    return Counter(PREFIX + metric.name, metric.help, metric.labels, registry=registry)


def _histogram(metric: Metric, registry: CollectorRegistry) -> Histogram:
    return Histogram(PREFIX + metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)


def _gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    merged = metric.merged
    return Gauge(PREFIX + metric.name, metric.help, metric.labels, registry=registry, multiprocess_mode=merged)


def _family(metric: Metric) -> _Family:
    return _FAMILIES[metric.kind](PREFIX + metric.name, metric.help, labels=metric.labels)


def _add(family: _Family, sample: Sample[float | Distribution]) -> None:
    if isinstance(family, HistogramMetricFamily) and isinstance(sample.value, Distribution):
        buckets = list(zip(sample.metric.bounds, sample.value.buckets, strict=True))
        family.add_metric(sample.labels, buckets, sample.value.sum)
    elif not isinstance(family, HistogramMetricFamily) and not isinstance(sample.value, Distribution):
        family.add_metric(sample.labels, sample.value)


def _exposition(registry: CollectorRegistry) -> Response:
    try:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    except (ValueError, TypeError):
        # What is no version of the format is not understood by the client, and the text is for whoever asks for it.
        encode, content_type = choose_encoder("")
    return Response(encode(registry), content_type=content_type, headers={"Cache-Control": "no-store"})
