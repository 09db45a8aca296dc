"""Whose request it is: the conversations of a run, told apart by what they have said before."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .comparing import parse
from .recording import Exchange, speaker

Words = dict[str, Any]


@dataclass(eq=False)
class Conversation:
    """What the replay knows of one agent, and its request while that waits for the reply."""

    agent: str
    speaker: str | None
    turn: int = 0
    known: str = ""  # its messages up to the last reply, as text
    said: list[Any] = field(default_factory=list)  # the turn of that reply
    characters: int = 0  # of both, for the estimate of usage
    words: Words = field(default_factory=dict)  # of its last request, the messages left out
    asking: bool = False
    body: dict[str, Any] = field(init=False)  # of a request, with the messages that are new
    text: str = field(init=False)  # all its messages
    exchange: Exchange = field(init=False)
    reply: asyncio.Future[Any] = field(init=False)


def whose(
    talks: Iterable[Conversation], text: str
) -> tuple[Conversation | None, dict[str, Any], str]:
    """Return whose request this is, what is new in it, and all its messages as text.

    None: it begins a conversation.
    """
    for talk in talks:
        body, known = ({}, "") if talk.asking else parse(text, talk.known)
        same = known and speaker(body) == talk.speaker
        if same and body["messages"][: len(talk.said)] == talk.said:
            return talk, body, known
    return (None, *parse(text))
