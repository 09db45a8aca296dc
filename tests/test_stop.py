"""The stop button in a real kernel: no task is left and every agent has its final status."""

from .stop import RUNS, STOPPED, kernel, stop_after


def test_stop_ends_every_kind_of_run_and_leaves_nothing() -> None:
    with kernel() as (manager, client):
        for code in RUNS.values():
            for seconds in (0.1, 0.8):
                stop = stop_after(manager, client, code, seconds)
                assert stop.error in STOPPED[:2]
                assert stop.left == "left 0 alive []"
