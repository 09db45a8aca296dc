"""A slice of the fault soak in every run of the tests, and the whole of it in the long ones."""

import asyncio

import pytest

from .soak import FAULTS, soak

SLICE, WHOLE = 4, 400


pytestmark = pytest.mark.filterwarnings("ignore:no more is shown")  # a fault of its own


def left_over(fault: str, seeds: int) -> list[str]:
    """Return what went wrong in these runs: problems, lost messages, tasks left behind."""
    ((_, runs, fates, statuses, problems),) = asyncio.run(soak(seeds, [fault]))
    assert runs == seeds
    assert fates["delivered"] == fates["read"] + fates["dead"] + fates["lost"]
    assert statuses.total() >= 2 * seeds
    lost = {kind: fates[kind] for kind in ("lost", "tasks left") if fates[kind]}
    return [*problems, *(f"{number} {kind}" for kind, number in lost.items())]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_loses_no_message_and_leaves_no_task(fault: str) -> None:
    assert left_over(fault, SLICE) == []


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_loses_no_message_in_four_hundred_runs(fault: str) -> None:
    assert left_over(fault, WHOLE) == []
