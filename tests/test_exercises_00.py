"""The check of notebook 00 tells the right answer from wrong ones, and says what is wrong."""

import asyncio
from typing import Any

import pytest

from helpers.exercises import check


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "00.1: not yet"),
        (..., "00.1: not yet"),
        ("helper1", "00.1: not yet: helper1 was the first to send; look for the first line with ←"),
        ("lead", "00.1: not yet: the lead got its mail later; look for the first line with ←"),
        ("helper2", "00.1: right"),
    ],
)
def test_the_first_to_receive(capsys: pytest.CaptureFixture[str], answer: Any, words: str) -> None:
    asyncio.run(check("00.1", answer))
    assert capsys.readouterr().out.strip() == words


def test_something_that_is_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(check("00.1", ["helper2"]))
    assert "name of an agent" in capsys.readouterr().out
