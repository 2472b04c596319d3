"""Who may work now, and in which order the others wait."""

import asyncio

from atoll_operator.local.places import Places


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_the_lowest_number_gets_the_next_place() -> None:
    places, served = Places(1), []

    async def work(priority: int) -> None:
        await places.take(priority)
        served.append(priority)
        places.give_back()

    await places.take(0)
    waiting = [asyncio.ensure_future(work(priority)) for priority in (3, 1, 2)]
    await settle()
    assert served == []
    places.give_back()
    await asyncio.gather(*waiting)
    assert served == [1, 2, 3]


async def test_a_cancelled_wait_takes_no_place() -> None:
    places = Places(1)
    await places.take(0)
    given_up, patient = (asyncio.ensure_future(places.take(n)) for n in (1, 2))
    await settle()
    given_up.cancel()
    places.give_back()
    await asyncio.wait_for(patient, 5)
    assert given_up.cancelled()


async def test_a_place_that_came_while_being_cancelled_goes_on() -> None:
    places = Places(1)
    await places.take(0)
    unlucky, next_one = (asyncio.ensure_future(places.take(n)) for n in (1, 2))
    await settle()
    places.give_back()
    unlucky.cancel()
    await asyncio.wait_for(next_one, 5)
