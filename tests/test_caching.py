from __future__ import annotations

import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from flask_foreign_token.caching import Cache, Rest, SingleFlight
from flask_foreign_token.errors import ProviderUnavailable

from .loading import FOREVER


def test_eight_threads_do_as_they_please() -> None:
    cache: Cache[int] = Cache(50)
    flights: SingleFlight[int] = SingleFlight()
    rest = Rest(5, 10)
    ready = threading.Barrier(8)

    def hammer(seed: int) -> int:
        choose = random.Random(seed)
        ready.wait(10)
        for _ in range(5_000):
            key = choose.randrange(120)
            match choose.randrange(8):
                case 0:
                    cache.put(key, key, FOREVER)
                case 1:
                    cache.drop(key)
                case 2 if key == 0:
                    cache.drop_where(lambda value: value % 3 == 0)
                case 3:
                    assert cache.get_or_load(key, lambda key=key: (key, FOREVER)) == key  # type: ignore[misc]
                case 4:
                    assert flights.do(key, lambda key=key: key) == key  # type: ignore[misc]
                case 5:
                    rest.note(key, ProviderUnavailable())
                case 6:
                    assert len(cache) <= 50
                case _:
                    assert cache.get(key) in (None, key)
        return seed

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(hammer, range(8), timeout=60))
    finally:
        sys.setswitchinterval(interval)

    assert done == list(range(8))
    assert flights._flights == {}
