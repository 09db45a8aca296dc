"""Finds out which agent asks, from what it sends: no request says so, and nobody has to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .comparing import describe
from .recording import Exchange, speaker


@dataclass
class Conversation:
    """What the replay knows of one agent: its messages so far and what it sent beside them."""

    agent: str
    speaker: str | None
    history: list[Any] = field(default_factory=list)
    call_ids: list[str] = field(default_factory=list)
    words: dict[str, Any] = field(default_factory=dict)
    turn: int = 0
    asking: bool = False


class Conversations(list[Conversation]):
    """The conversations of one run, in the order in which they began."""

    def continued(self, body: dict[str, Any]) -> Conversation | None:
        """Return the conversation that this request continues: its history, then something new."""
        messages = body["messages"]
        for conversation in self:
            known, same = conversation.history, conversation.speaker == speaker(body)
            if same and not conversation.asking and messages[: len(known)] == known:
                return conversation
        return None

    def opened(
        self, body: dict[str, Any], exchanges: Mapping[tuple[str, int], Exchange], mode: str
    ) -> Conversation | None:
        """Add a conversation, under the name that the recording has for this opening, or None."""
        started = {conversation.agent for conversation in self}
        left = [agent for agent, turn in exchanges if turn == 1 and agent not in started]
        name, opening = speaker(body), describe(body, 0, [])["messages"]
        named = [agent for agent in left if agent.partition(".")[0] == name]
        same = [a for a in named if (exchanges[a, 1].sent or {}).get("messages") == opening]
        if mode == "fill" and name and not named:
            named = [name]  # an agent whose only call is cancelled has no reply in the file
        others = left if mode == "lenient" else []
        agent = next(iter([*same, *named, *others]), None)
        if agent is None:
            return None
        self.append(Conversation(agent, name))
        return self[-1]
