"""Scripted agents: a mistake in the script is told as one, not as an error of the network."""

import asyncio
import traceback
from typing import Any

import anthropic
import httpx2
import pytest

from helpers.replies.client import Session
from helpers.replies.scripted import Answer, Canned, Failure, Script, scripted
from helpers.tools import ProgramError

from .support import run


async def hello(session: Session) -> anthropic.types.Message:
    return await session.client.messages.create(
        model=session.model,
        max_tokens=10,
        system="You are lead.",
        messages=[{"role": "user", "content": "Begin."}],
    )


def ask(script: Script) -> anthropic.types.Message:
    async def scenario() -> anthropic.types.Message:
        async with scripted(script) as session:
            return await hello(session)

    return run(scenario())


@pytest.mark.parametrize("answer", [7, Failure(500), httpx2.ConnectError("refused")], ids=repr)
def test_an_error_shows_the_cell_and_not_the_sdk(answer: Any) -> None:
    async def cell() -> BaseException:
        try:
            async with scripted(lambda *_: answer) as session:
                await hello(session)
        except anthropic.AnthropicError as error:
            return error
        raise AssertionError("no error")

    lines = traceback.format_exception(error := run(cell()))
    assert [frame.name for frame in traceback.extract_tb(error.__traceback__)] == ["cell"]
    assert not any("_base_client.py" in line for line in lines)
    assert isinstance(answer, int | Failure) or lines[-1] == "Reason: ConnectError: refused\n"


def test_a_clock_whose_session_is_over_wakes_nobody_and_says_so() -> None:
    async def scenario() -> None:
        async with scripted(lambda *_: "Hi.") as session:
            sleeper = asyncio.create_task(session.clock.sleep(1))
            await asyncio.sleep(0)
        await asyncio.wait([sleeper])
        assert sleeper.cancelled()
        with pytest.raises(RuntimeError, match="the session of this clock is over"):
            await session.clock.sleep(1)

    run(scenario())


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [("Hi.", ["text"]), ([{"text": "Hi."}, {"look": {}}], ["text", "tool_use"]), (Canned(), [])],
    ids=["text", "blocks", "reply"],
)
def test_a_script_gives_a_text_or_blocks_or_a_reply(answer: Answer, kinds: list[str]) -> None:
    assert [block.type for block in ask(lambda *_: answer).content] == kinds


def test_a_failure_and_a_returned_exception_are_the_api_s_and_the_network_s() -> None:
    with pytest.raises(anthropic.InternalServerError):
        ask(lambda *_: Failure(500))
    with pytest.raises(anthropic.APIConnectionError):
        ask(lambda *_: httpx2.ConnectError("refused"))


def test_a_script_of_the_wrong_form_is_named_with_agent_and_turn() -> None:
    one_argument: Any = lambda agent: "Hi."  # noqa: E731
    with pytest.raises(ProgramError, match="failed on turn 1 of lead: TypeError"):
        ask(one_argument)


ODD: list[Any] = [None, 7, [{"text": "a", "look": {}}], ["Hi."]]


@pytest.mark.parametrize("answer", [*ODD, *map(Canned, ODD[2:])], ids=repr)
def test_a_reply_that_is_none_is_named_with_the_forms_it_can_have(answer: Any) -> None:
    with pytest.raises(ProgramError, match=r"for turn 1 of lead\. It can be a text"):
        ask(lambda *_: answer)
