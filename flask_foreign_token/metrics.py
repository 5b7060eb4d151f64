"""The numbers that an app keeps of itself: what each is called, what it means, and what tells its series apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

OTHER: Final = "other"
"""Stands for what has no series of its own."""

NONE: Final = "none"
"""The label of what there is none of."""

_FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: a signature takes half a millisecond, and an exchange five seconds where nobody says otherwise."""

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """One number.

    :param name: as Prometheus has it, without the prefix.
    :param labels: names of what tells its series apart.
    :param unit: of the value; ``""`` where it is a number of things.
    :param merged: how Prometheus' client makes one gauge of those of several workers that are alive.
    :param buckets: upper bounds, of a histogram.
    """

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    help: str
    labels: Labels
    unit: str = ""
    merged: Literal["livesum", "livemax", "livemostrecent"] = "livemostrecent"
    buckets: tuple[float, ...] = ()

    @property
    def bounds(self) -> tuple[str, ...]:
        """Upper bounds of all buckets of a histogram as texts, the one that holds everything included."""
        return (*map(str, self.buckets), "+Inf")


DECISIONS: Final = Metric(
    "decisions_total",
    "counter",
    "What guards and the operator's endpoints decided, and every refusal.",
    ("outcome", "error", "status"),
)
TOKENS: Final = Metric(
    "tokens_total",
    "counter",
    "Tokens that came, known here (remembered) or not, by the introspector that they went to.",
    ("result", "introspector"),
)
TOKEN_SECONDS: Final = Metric(
    "token_seconds",
    "histogram",
    "Seconds from a token that is not known here to its user.",
    ("result",),
    "seconds",
    buckets=_FAST,
)
USERS: Final = Metric("users_total", "counter", "What became of users, at this worker.", ("event",))
FETCH_SECONDS: Final = Metric(
    "fetch_seconds",
    "histogram",
    "Seconds of what providers were asked.",
    ("kind", "result"),
    "seconds",
    buckets=_FAST,
)
LOOK_SECONDS: Final = Metric(
    "registry_look_seconds",
    "histogram",
    "Seconds of looks at the registry.",
    ("result",),
    "seconds",
    buckets=_FAST,
)
SHARED: Final = Metric(
    "shared_cache_total",
    "counter",
    "Looks into what workers share: it was there (hit), was not (miss), was put there by none of them (refused), or "
    "could not be looked for (failed).",
    ("kind", "result"),
)
REGISTRY_STATE: Final = Metric(
    "registry_state",
    "gauge",
    "1 if a registry is in force (in_force), if registry and database could be read at the last look (reachable), and "
    "if one is in force and the last look did not fail on the database (ready); else 0.",
    ("state",),
)
REGISTRY_LOOKED: Final = Metric(
    "registry_looked_timestamp_seconds",
    "gauge",
    "When the registry was last looked at with success.",
    (),
    "seconds since the epoch",
    merged="livemax",
)
RESOURCES: Final = Metric("registry_resources", "gauge", "Resources of the registry in force.", ("type",))
OUT_OF_SERVICE: Final = Metric(
    "registry_out_of_service", "gauge", "Resources that are left out, or allow and check nothing.", ("type",)
)
CACHED: Final = Metric("cached", "gauge", "Tokens and users that are remembered.", ("cache",), merged="livesum")
KEYS: Final = Metric(
    "keys", "gauge", "Keys of the provider that serve an introspector.", ("introspector",), merged="livemax"
)
KEYS_FETCHED: Final = Metric(
    "keys_fetched_timestamp_seconds",
    "gauge",
    "When they came.",
    ("introspector",),
    "seconds since the epoch",
    merged="livemax",
)
KEYS_DUE: Final = Metric(
    "keys_due_timestamp_seconds",
    "gauge",
    "When they are renewed, once a token asks for them.",
    ("introspector",),
    "seconds since the epoch",
    merged="livemax",
)
KEYS_FAILING: Final = Metric(
    "keys_failing", "gauge", "1 if the latest fetch of them failed, else 0.", ("introspector",), merged="livemax"
)

COUNTED: Final = (DECISIONS, TOKENS, TOKEN_SECONDS, USERS, FETCH_SECONDS, SHARED, LOOK_SECONDS)
"""What is counted as it happens."""

GAUGES: Final = (
    REGISTRY_STATE,
    REGISTRY_LOOKED,
    RESOURCES,
    OUT_OF_SERVICE,
    CACHED,
    KEYS,
    KEYS_FETCHED,
    KEYS_DUE,
    KEYS_FAILING,
)
"""What is looked up when somebody asks."""

METRICS: Final = (*COUNTED, *GAUGES)
"""All numbers there are."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a histogram holds.

    :param total: how many values there were.
    :param buckets: how many of them were at most each bound of the metric, and at last all of them.
    """

    total: int
    sum: float
    buckets: tuple[int, ...]


Value = TypeVar("Value", bound=float | Distribution, covariant=True)


class Sample(NamedTuple, Generic[Value]):
    """The value of one series.

    :param labels: the values of the metric's, in their order.
    """

    metric: Metric
    labels: Labels
    value: Value

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        labels = dict(zip(self.metric.labels, self.labels, strict=True))
        if not isinstance(self.value, Distribution):
            return {"labels": labels, "value": self.value}
        buckets = dict(zip(self.metric.bounds, self.value.buckets, strict=True))
        return {"labels": labels, "count": self.value.total, "sum": self.value.sum, "buckets": buckets}
