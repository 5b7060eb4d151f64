"""What this package costs, beside bare Flask and beside the others: ``python -m benchmarks`` (``make bench``).

Each case is a module with ``measure(report)``, which stands in :data:`CASES`; :mod:`.harness` is what all of them
measure with, and :mod:`.subjects` what they measure. Apart, since they take longer or answer something else:
``python -m benchmarks.soak`` and ``python -m benchmarks.fleet``.
"""

CASES = (
    "requests",
    "servers",
    "opaque",
    "policies",
    "registry",
    "users",
    "memory",
    "start_up",
    "steps",
)
"""In the order of the results."""
