"""The limiter by a hand-set clock: never more than the vendor allows, in no window of the vendor's own."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from connector.testing.clock import HandClock
from connector.transport import Limiter

WINDOW = timedelta(seconds=10)


async def test_permits_come_back_one_window_after_the_answer():
    clock = HandClock()
    limiter = Limiter(2, WINDOW, clock)
    began = clock.now()
    sent = []

    for _ in range(5):
        async with limiter.permit():
            sent.append(clock.now() - began)
            clock.advance(timedelta(seconds=1))  # the answer takes a second

    assert [s.total_seconds() for s in sent] == [0, 1, 11, 12, 22]


async def test_no_window_holds_more_than_the_permits_however_the_requests_fall():
    clock = HandClock()
    limiter = Limiter(7, WINDOW, clock)
    sent = []

    async def one(latency: float) -> None:
        async with limiter.permit():
            sent.append(clock.now())
            await clock.sleep(timedelta(seconds=latency))

    await asyncio.gather(*(one(0.1 * (n % 5)) for n in range(60)))

    assert len(sent) == 60
    for moment in sent:
        assert sum(moment <= other < moment + WINDOW for other in sent) <= 7


async def test_a_share_is_kept_exactly_and_leaves_at_least_one_permit():
    clock = HandClock()
    general = Limiter(190, WINDOW, clock, share=0.9)
    search = Limiter(5, timedelta(seconds=1), clock, share=0.9)
    tiny = Limiter(5, timedelta(seconds=1), clock, share=0.1)

    assert (general.permits, general.window) == (171, WINDOW)
    assert search.permits / search.window.total_seconds() == pytest.approx(4.5)
    assert search.permits <= 5
    assert (tiny.permits, tiny.window.total_seconds()) == (1, 2.0)


@pytest.mark.parametrize(("first", "then", "sent"), [(100, 190, 190), (190, 100, 100)])
async def test_what_the_vendor_says_about_its_window_counts_from_then_on(first, then, sent):
    clock = HandClock()
    limiter = Limiter(first, WINDOW, clock)
    began = clock.now()
    async with limiter.permit():
        limiter.resize(then)

    at_once = 1
    while at_once < 500:
        async with limiter.permit():
            if clock.now() > began:
                break
            at_once += 1

    assert at_once == sent


@pytest.mark.parametrize("share", [0, -1, 1.1])
async def test_a_share_that_makes_no_sense_is_refused(share):
    with pytest.raises(ValueError, match="share"):
        Limiter(5, WINDOW, HandClock(), share=share)


async def test_a_hold_stops_everybody_until_it_ends():
    clock = HandClock()
    limiter = Limiter(5, WINDOW, clock)
    began = clock.now()
    limiter.hold(timedelta(seconds=30))
    limiter.hold(timedelta(seconds=3))  # a shorter one does not shorten it

    async with limiter.permit():
        waited = clock.now() - began

    assert waited == timedelta(seconds=30)


async def test_a_request_that_fails_or_is_cancelled_gives_its_permit_back():
    clock = HandClock()
    limiter = Limiter(1, WINDOW, clock)
    with pytest.raises(RuntimeError):
        async with limiter.permit():
            raise RuntimeError

    held = asyncio.Event()

    async def hang() -> None:
        async with limiter.permit():
            held.set()
            await asyncio.Event().wait()

    hanging = asyncio.create_task(hang())
    await held.wait()
    waiting = asyncio.create_task(hang())
    await asyncio.sleep(0)
    waiting.cancel()
    hanging.cancel()
    await asyncio.gather(hanging, waiting, return_exceptions=True)

    async with asyncio.timeout(1), limiter.permit():
        pass


async def test_a_clock_that_was_set_back_stalls_nobody_for_more_than_a_window():
    clock = HandClock()
    limiter = Limiter(1, WINDOW, clock)
    async with limiter.permit():
        pass
    clock.advance(timedelta(hours=-1))
    back = clock.now()

    async with limiter.permit():
        waited = clock.now() - back

    assert waited <= WINDOW
