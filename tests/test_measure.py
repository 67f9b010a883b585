"""Paired measurement, on a clock that only goes on when a way says so."""

from __future__ import annotations

import gc
import random
import statistics
from collections.abc import Callable

import pytest

from unslow.catalogue.trial import Timed
from unslow.experiment import measure
from unslow.experiment.measure import Timing, TooSlow, bootstrap, compare

pytest.importorskip("numpy")


class Clock:
    """A clock that the ways move on by themselves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def way(self, *seconds: float, noise: float = 0.0, seed: int = 0) -> Callable[[], None]:
        """A way that takes these seconds, one after the other, and then the last ones."""
        draw = random.Random(seed)
        left = list(seconds)

        def run() -> None:
            taken = left.pop(0) if len(left) > 1 else left[0]
            self.now += taken * (1 + noise * draw.uniform(-1, 1))

        return run


def test_the_ratio_is_the_present_way_over_the_other() -> None:
    clock = Clock()
    timing = compare(clock.way(0.3), clock.way(0.1), seconds=60, clock=clock)
    assert timing.ratio == pytest.approx(3)
    assert timing.interval == pytest.approx((3, 3))
    assert (timing.present, timing.alternative) == pytest.approx((0.3, 0.1))
    assert timing.pairs == 5


def test_first_runs_are_in_no_pair() -> None:
    clock = Clock()
    timing = compare(clock.way(9.0, 0.2), clock.way(7.0, 0.1), seconds=60, clock=clock)
    assert timing.ratio == pytest.approx(2)


def test_of_a_run_that_tells_its_time_that_time_counts() -> None:
    clock = Clock()
    present, alternative = clock.way(0.5), clock.way(0.3)

    def timed() -> Timed:
        present()
        return Timed(None, 0.4)

    def short() -> Timed:
        alternative()
        return Timed(None, 0.0001)

    assert compare(timed, alternative, seconds=60, clock=clock).ratio == pytest.approx(4 / 3)
    # Its whole run is long enough to be measured by itself.
    timing = compare(timed, short, seconds=60, clock=clock)
    assert (timing.present, timing.alternative) == pytest.approx((0.4, 0.0001))


def test_no_difference_is_an_outcome() -> None:
    clock = Clock()
    ways = clock.way(0.1, noise=0.1, seed=1), clock.way(0.1, noise=0.1, seed=2)
    timing = compare(*ways, seconds=1000, clock=clock)
    low, high = timing.interval
    assert low < 1 < high
    assert 0.95 < timing.ratio < 1.05


def test_outliers_do_not_move_the_ratio() -> None:
    clock = Clock()
    slow = clock.way(0.2, 0.2, 0.2, 2.0, 0.2, 0.2, 0.2, 0.2)
    timing = compare(slow, clock.way(0.1), seconds=1000, clock=clock)
    assert timing.ratio == pytest.approx(2)
    assert timing.interval[1] < 3


def test_it_goes_on_while_the_interval_is_wide_and_ends_at_fifty() -> None:
    clock = Clock()
    ways = clock.way(0.1, noise=0.9, seed=1), clock.way(0.1, noise=0.9, seed=2)
    assert compare(*ways, seconds=1e6, clock=clock).pairs == measure.MOST == 50


def test_a_spent_budget_ends_it_but_not_before_five_pairs() -> None:
    clock = Clock()
    ways = clock.way(1.0, noise=0.9, seed=1), clock.way(1.0, noise=0.9, seed=2)
    assert compare(*ways, seconds=5, clock=clock).pairs == 5
    clock = Clock()
    ways = clock.way(1.0, noise=0.9, seed=1), clock.way(1.0, noise=0.9, seed=2)
    assert 8 < compare(*ways, seconds=30, clock=clock).pairs < 20


def test_far_too_slow_ways_are_told_with_what_they_would_need() -> None:
    clock = Clock()
    with pytest.raises(TooSlow) as caught:
        compare(clock.way(10.0), clock.way(2.0), seconds=1, clock=clock)
    assert caught.value.seconds == pytest.approx(60)
    assert clock.now == pytest.approx(100 + 24)


def test_a_slow_first_run_alone_is_not_too_slow() -> None:
    clock = Clock()
    timing = compare(clock.way(0.2), clock.way(30.0, 0.01), seconds=2, clock=clock)
    assert timing.pairs == 5
    assert timing.ratio == pytest.approx(20)


def test_clear_differences_may_have_wider_intervals() -> None:
    assert measure.is_known(2.0, (1.8, 2.2))
    assert not measure.is_known(2.0, (1.5, 2.2))
    assert not measure.is_known(1.05, (0.95, 1.15))
    assert not measure.is_known(1.1, (1.01, 1.2))
    assert measure.is_known(0.5, (0.45, 0.55))
    assert measure.is_known(1.0, (0.96, 1.04))
    assert measure.is_known(80.0, (60.0, 110.0))
    assert not measure.is_known(8.0, (6.0, 11.0))


def test_the_order_within_pairs_varies_and_is_the_same_for_one_seed() -> None:
    def order(seed: int) -> str:
        clock = Clock()
        runs: list[str] = []

        def way(name: str, noise_seed: int) -> Callable[[], None]:
            run = clock.way(0.1, noise=0.9, seed=noise_seed)
            return lambda: (runs.append(name), run())[1]

        compare(way("p", 1), way("a", 2), seconds=1e6, seed=seed, clock=clock)
        return "".join(runs)

    assert order(3) == order(3) != order(4)
    pairs = [order(3)[2:][at : at + 2] for at in range(0, 100, 2)]
    assert set(pairs) == {"pa", "ap"}
    assert 15 < pairs.count("pa") < 35


def test_short_runs_are_measured_several_at_a_time() -> None:
    clock = Clock()
    calls = [0, 0]
    fast, slow = clock.way(0.0000125), clock.way(0.00005)

    def present() -> None:
        calls[0] += 1
        slow()

    def alternative() -> None:
        calls[1] += 1
        fast()

    timing = compare(present, alternative, seconds=10, clock=clock)
    assert timing.ratio == pytest.approx(4)
    assert timing.present == pytest.approx(0.00005)
    assert calls[0] == calls[1] >= 5 * measure.SHORTEST / 0.00005


def test_with_something_to_do_around_each_run_it_is_run_once_at_a_time() -> None:
    clock = Clock()
    events: list[str] = []

    def note(name: str, way: Callable[[], None]) -> Callable[[], None]:
        return lambda: (events.append(name), way())[1]

    timing = compare(
        note("p", clock.way(0.0002)),
        note("a", clock.way(0.0001)),
        seconds=100,
        before_present=note("bp", clock.way(3.0)),
        before_alternative=note("ba", clock.way(1.0)),
        after=note("z", clock.way(1.0)),
        clock=clock,
    )
    assert timing.ratio == pytest.approx(2)
    assert timing.pairs == 5
    runs = [tuple(events[at : at + 3]) for at in range(0, len(events), 3)]
    assert runs[:2] == [("bp", "p", "z"), ("ba", "a", "z")]
    assert len(runs) == 12
    assert set(runs) == {("bp", "p", "z"), ("ba", "a", "z")}


def test_what_is_done_around_the_runs_counts_to_the_budget() -> None:
    clock = Clock()
    ways = clock.way(0.1, noise=0.9, seed=1), clock.way(0.1, noise=0.9, seed=2)
    timing = compare(*ways, seconds=20, after=clock.way(1.0), clock=clock)
    assert timing.pairs < 12


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_rests_while_runs_are_timed(enabled: bool) -> None:
    clock = Clock()
    seen: list[bool] = []
    around: list[bool] = []
    run = clock.way(0.1)
    was = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        compare(
            lambda: (seen.append(gc.isenabled()), run())[1],
            run,
            seconds=10,
            after=lambda: around.append(gc.isenabled()),
            clock=clock,
        )
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was else gc.disable)()
    assert set(seen) == {False}
    assert set(around) == {enabled}


@pytest.mark.parametrize("at", [0, 3])
def test_exceptions_pass_and_leave_the_collector_as_it_was(at: int) -> None:
    clock = Clock()
    runs: list[int] = []

    def fails() -> None:
        runs.append(1)
        clock.now += 0.1
        if len(runs) > at:
            raise KeyboardInterrupt

    assert gc.isenabled()
    with pytest.raises(KeyboardInterrupt):
        compare(clock.way(0.1), fails, seconds=10, clock=clock)
    assert gc.isenabled()
    assert len(runs) == at + 1


def test_a_clock_too_coarse_for_the_runs_gives_numbers_still() -> None:
    clock = Clock()
    timing = compare(clock.way(0.0), clock.way(0.0), seconds=10, after=int, clock=clock)
    assert timing.ratio == 1


def test_the_same_measurements_give_the_same_timing() -> None:
    def timing() -> Timing:
        clock = Clock()
        ways = clock.way(0.2, noise=0.3, seed=5), clock.way(0.1, noise=0.3, seed=6)
        return compare(*ways, seconds=100, seed=7, clock=clock)

    assert timing() == timing()


def test_bootstrap_of_few_ratios_is_their_range() -> None:
    assert bootstrap([2.0, 1.0, 3.0]) == (1.0, 3.0)
    assert bootstrap([1.5]) == (1.5, 1.5)
    with pytest.raises(ValueError, match="no ratios"):
        bootstrap([])


def test_bootstrap_holds_the_median_about_as_often_as_it_says() -> None:
    draw = random.Random(0)
    held = narrow = 0
    for _ in range(200):
        ratios = [draw.gauss(2, 0.2) for _ in range(15)]
        low, high = bootstrap(ratios)
        assert low <= statistics.median(ratios) <= high
        held += low <= 2 <= high
        narrow += high - low < 0.5
    assert 180 <= held <= 200
    assert narrow > 180


def test_real_work_with_the_real_clock() -> None:
    timing = compare(lambda: sum(range(40_000)), lambda: sum(range(10_000)), seconds=1)
    assert timing.ratio > 1.5
