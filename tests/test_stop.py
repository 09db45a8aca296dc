"""The stop button in a real kernel: no task is left and every agent has its final status."""

import asyncio
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from helpers.replies.client import Session, connect
from helpers.replies.scripted import scripted

from .stop import RUNS, SILENT, STOPPED, kernel, stop_after
from .support import in_order, run


def test_stop_ends_every_kind_of_run_and_leaves_nothing() -> None:
    with kernel() as (manager, client):
        for code in (RUNS | SILENT).values():
            for seconds in (0.1, 0.8):
                stop = stop_after(manager, client, code, seconds)
                assert stop.error in STOPPED[:2]
                assert stop.left == "left 0 alive []"


async def work(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


@pytest.mark.parametrize("stop", [asyncio.CancelledError(), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("opened", [partial(scripted, in_order()), partial(connect, "02_raw")])
def test_a_stop_shows_the_line_of_the_cell_and_nothing_below_it(
    opened: Callable[[], AbstractAsyncContextManager[Session]], stop: BaseException
) -> None:
    async def cell() -> list[str]:
        try:
            async with opened():
                await work(stop)
        except BaseException as error:
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        return ["no error"]

    assert run(cell()) == ["cell"]
