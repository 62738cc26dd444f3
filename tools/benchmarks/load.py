"""Many calls from a few threads, and what they took."""

import dataclasses
import statistics
import threading
import time
from collections.abc import Callable, Iterator


@dataclasses.dataclass
class Timing:
    """Times of calls in seconds, and how long it took to make them all."""

    times: list[float]
    elapsed: float
    failures: int = 0

    @property
    def rate(self) -> float:
        """Calls per second."""
        return len(self.times) / self.elapsed if self.elapsed else 0.0

    def percentile(self, percent: int) -> float:
        """Seconds that so many of a hundred calls stayed below."""
        if len(self.times) < 2:
            return self.times[0] if self.times else 0.0
        return statistics.quantiles(self.times, n=100, method='inclusive')[percent - 1]

    def figures(self) -> dict[str, float]:
        """Count, failures, rate, median and 95th percentile, as they are printed."""
        return {'requests': len(self.times), 'failures': self.failures, 'per_second': round(self.rate, 1),
                'p50_ms': round(self.percentile(50) * 1000, 2), 'p95_ms': round(self.percentile(95) * 1000, 2)}


def for_seconds(call: Callable[[], bool], seconds: float, threads: int) -> Timing:
    """Call again and again from some threads until the time is up; ``call`` says whether it went well."""
    deadline = time.perf_counter() + seconds

    def until_then() -> Iterator[Callable[[], bool]]:
        while time.perf_counter() < deadline:
            yield call
    return _run([until_then() for _ in range(threads)])


def each(calls: list[Callable[[], bool]], threads: int) -> Timing:
    """Make each call once, from some threads."""
    lock, rest = threading.Lock(), iter(calls)

    def share() -> Iterator[Callable[[], bool]]:
        while True:
            with lock:
                call = next(rest, None)
            if call is None:
                return
            yield call
    return _run([share() for _ in range(threads)])


def _run(shares: list[Iterator[Callable[[], bool]]]) -> Timing:
    times: list[list[float]] = [[] for _ in shares]
    failures, errors = [0] * len(shares), []

    def work(number: int) -> None:
        try:
            for call in shares[number]:
                begun = time.perf_counter()
                well = call()
                times[number].append(time.perf_counter() - begun)
                failures[number] += not well
        except Exception as error:      # it is raised below, by the thread that waits
            errors.append(error)
    workers = [threading.Thread(target=work, args=(number,)) for number in range(len(shares))]
    begun = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    elapsed = time.perf_counter() - begun
    if errors:
        raise errors[0]
    return Timing([one for some in times for one in some], elapsed, sum(failures))
