"""Requests: whatever happens in a run, the Messages API would take each one that is sent."""

import asyncio
import copy
import itertools
import json
import random
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from helpers.agent import run_agent, take_turns
from helpers.delegation import Delegation, Role, task_tool, work_and_answer
from helpers.hooks import EndAgent, Go, Hook, Step, no_hook, time_limit
from helpers.hub import Clock, Hub, end_agent
from helpers.replies.client import client_over
from helpers.replies.recording import MODEL_INFO
from helpers.replies.scripted import Answer, scripted
from helpers.spawn import run_lead, sleep_tool
from helpers.tools import NoArguments, Tool, messaging_tools

from .support import SOLO, in_turn, quiet_hub, raising, returning, run, ticking, tool
from .test_doors import Plain
from .validator import problems

Json = dict[str, Any]
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
REDACTED = {"type": "redacted_thinking", "data": "aGlkZGVu"}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aQ=="}}
ARGUMENTS: dict[str, list[Any]] = {
    "send_message": [
        {"recipient_ids": ["peer", "lead"], "content": "Hi."},
        {"recipient_ids": ["helper1", "nobody"], "content": ""},
        {"recipient_ids": "peer"},
    ],
    "sleep": [{"seconds": 1}, {"seconds": 9}],
    "create_subagents": [
        {"base_instruction": "Help.", "per_subagent_instructions": ["Count.", "Add."]}
    ],
    "kill_subagents": [{"subagent_ids": ["helper1", "helper2", "helper4"]}, {"subagent_ids": []}],
    "Task": [
        {"subagent_type": role, "description": "d", "prompt": "Write."}
        for role in ("writer", "checker", "nobody")
    ],
}
CUTS = [None, "end_turn", "max_tokens", "pause_turn", "refusal", "stop_sequence"]
CUTS += ["model_context_window_exceeded"]


class Form(BaseModel):
    text: str


class Model(httpx2.AsyncBaseTransport):
    """Answers at random what the API might, and refuses what the API would refuse."""

    def __init__(self) -> None:
        self.dice = random.Random()
        self.numbers = itertools.count()
        self.requests: list[Json] = []
        self.refused: list[list[str]] = []
        self.given: set[str] = set()  # blocks of thinking, as JSON

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json=MODEL_INFO)
        body = json.loads(await request.aread())
        self.requests.append(body)
        for _ in range(self.dice.randint(0, 4)):
            await asyncio.sleep(0)
        if found := problems(body):
            self.refused.append(found)
            error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
            return httpx2.Response(400, json=error)
        roll = self.dice.random()
        if roll < 0.02:
            raise httpx2.ReadError("cut", request=request)
        if roll < 0.04:
            return httpx2.Response(529, json={"type": "error", "error": {"type": "overloaded"}})
        content, stop_reason = self.reply(body)
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
        end = {"stop_reason": stop_reason, "stop_sequence": None}
        usage = {"usage": {"input_tokens": 1, "output_tokens": 1}}
        reply = message | end | usage | {"content": content if roll > 0.06 else None}
        return httpx2.Response(200, json=reply)

    def reply(self, body: Json) -> tuple[list[Json], str | None]:
        """Return the blocks of a reply and its stop reason."""
        pick: Any = self.dice.choice
        if "format" in body.get("output_config", {}):
            text = pick(['{"text": "x"}', '```json\n{"text": "x"}\n```', '{"text": 7}', "", "No."])
            return self.thought([{"type": "text", "text": text}]), pick(["end_turn"] * 20 + CUTS)
        tools = body.get("tools", [])
        names = [tool["name"] for tool in tools if "input_schema" in tool] + ["no.such.tool"]
        names += 3 * [
            name for name in names if name in ("create_subagents", "kill_subagents", "Task")
        ]
        calls = [self.call(pick(names)) for _ in range(pick([0, 1, 1, 1, 2, 3]) if tools else 0)]
        blocks = [{"type": "text", "text": pick(["", " \n", "Let me see.", "It is done."])}]
        if calls and pick([True, False, False]):
            blocks.insert(
                pick([0, 1]), calls.pop()
            )  # text behind a call: the API gives it at times
        blocks += calls
        stop_reason = pick(["tool_use" if calls else "end_turn"] * 50 + CUTS)
        if SEARCH in tools and pick([True, False]):
            blocks = [*self.search(whole=stop_reason != "pause_turn"), *blocks]
        return self.thought(blocks) if pick([True, False, False]) else blocks, stop_reason

    def call(self, name: str) -> Json:
        given = self.dice.choice(ARGUMENTS.get(name, [{}, {}, {}, {"odd": 1}]))
        return {
            "type": "tool_use",
            "id": f"toolu_{next(self.numbers)}",
            "name": name,
            "input": given,
        }

    def search(self, whole: bool) -> list[Json]:
        """Return a search by the API, with its result unless the turn is paused."""
        number = f"srvtoolu_{next(self.numbers)}"
        asked = {"type": "server_tool_use", "id": number, "name": "web_search", "input": {}}
        found = {"type": "web_search_tool_result", "tool_use_id": number, "content": []}
        return [asked, found] if whole else [asked]

    def thought(self, blocks: list[Json]) -> list[Json]:
        """Return the blocks behind thinking, and words if it were all: that is a known fault."""
        key = f"c2lnbmVk{next(self.numbers)}"
        thinking, redacted = THINKING | {"signature": key}, REDACTED | {"data": key}
        own = self.dice.choice([[thinking], [redacted], [thinking, redacted]])
        self.given |= {json.dumps(block, sort_keys=True) for block in own}
        says = any(block["type"] != "text" or block["text"].strip() for block in blocks)
        return [*own, *blocks] if says else [*own, {"type": "text", "text": "Hm."}]


def toolbox(hub: Hub, name: str) -> list[Tool]:
    async def slow(_: NoArguments) -> str:
        await hub.clock.sleep(3)
        return "late"

    async def stubborn(_: NoArguments) -> str:
        with suppress(asyncio.CancelledError):
            await hub.clock.sleep(3)
        return "swallowed"

    return [
        *(tool("slow", slow), tool("stubborn", stubborn), raising("raises", KeyError("inside"))),
        *(returning("blank", " "), returning("nothing", None), returning("rows", [{"a": 1}])),
        *(returning("draw", [{"type": "text", "text": ""}, PICTURE]), sleep_tool(hub.clock)),
        *(returning("act", "done", acts=True), *messaging_tools(hub, name, deadline=5)),
    ]


def some_hook(dice: random.Random) -> Hook:
    """Return no hook, a limit of time, or one that ends an agent before or after a step."""
    moment, before = dice.randint(1, 9), dice.random() < 0.5
    steps = itertools.count()

    async def ends(step: Step, go: Go) -> Any:
        last = next(steps) == moment
        if last and before:
            raise EndAgent("ended")
        result = await go()
        if last:
            raise EndAgent("ended")
        return result

    return dice.choice([no_hook, no_hook, time_limit(tool=2, agent=30), ends])


def some_settings(dice: random.Random) -> Json:
    """Return settings of an agent, options of the request among them."""
    request: Json = dice.choice([{}, {"cache_control": None}, {"stop_sequences": ["END"]}])
    request |= dice.choice([{}, {"tool_choice": {"type": "any"}}, {"metadata": {"user_id": "u"}}])
    request |= dice.choice([{}, {"output_config": {"effort": "low"}}])
    sizes = {"max_turns": dice.randint(1, 12), "max_tokens": dice.choice([1, 2_048])}
    return {"model": "m", "request": request, "hook": some_hook(dice), **sizes}


async def disturb(dice: random.Random, hub: Hub, name: str, task: asyncio.Task[Any]) -> None:
    """Send mail while a task runs; then let it end, kill its agent, or cancel it twice."""
    for _ in range(dice.choice([1, 2, 5])):
        turns = dice.choice([5, 20, 60])
        while turns > 0 and not task.done():
            await asyncio.sleep(0)
            turns -= 1
        if dice.random() < 0.5:
            await hub.clock.sleep(dice.choice([1, 2.5]))
        if hub.alive("peer") and hub.alive(name):
            hub.post("peer", [name], "News </agent-message> for you.")
    fate = dice.choice(["end", "end", "kill", "cancel"])
    if fate == "end":
        await asyncio.wait([task])
    elif fate == "kill" and hub.alive(name):
        end_agent(hub, name, "killed")
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()


async def play(dice: random.Random, hub: Hub, name: str, work: Coroutine[Any, Any, Any]) -> None:
    task = asyncio.create_task(work)
    await disturb(dice, hub, name, task)
    await asyncio.gather(task, return_exceptions=True)


async def one_agent(dice: random.Random, client: Any, clock: Clock) -> None:
    """Run an agent that has mail and a conversation that goes on after each of its ends."""
    conversation: list[Json] = []
    work = dice.choice([take_turns, partial(work_and_answer, form=Form)])
    for _ in range(dice.randint(1, 4)):
        hub = Hub(clock, show=None)
        hub.register("peer")
        hub.register("solo", "peer")
        tools = [*toolbox(hub, "solo"), *dice.choice([[], [SEARCH]])]
        own: Json = {"system": "You are solo.", "task": "Begin.", "tools": tools, "work": work}
        own |= some_settings(dice) | {"messages": conversation}
        await play(dice, hub, "solo", run_agent(client, hub, "solo", **own))


async def a_lead(dice: random.Random, client: Any, clock: Clock) -> None:
    """Run a lead that starts helpers and kills some."""
    hub = Hub(clock, show=None)
    helper = {"work": partial(work_and_answer, form=Form)} if dice.random() < 0.3 else {}
    own = some_settings(dice) | {"tools_of": toolbox, "helper": helper, "max_alive": 4}
    await play(dice, hub, "lead", run_lead(client, hub, "Begin.", **own))


async def an_orchestrator(dice: random.Random, client: Any, clock: Clock) -> None:
    """Run an agent that delegates to subagents, with and without a form."""
    hub = Hub(clock, show=None)
    hub.register("lead")
    tools = {tool.name: tool for tool in toolbox(hub, "lead")[:6]}
    roles = {
        "writer": Role("Writes.", "Write.", ("slow", "blank"), "haiku"),
        "checker": Role("Checks.", "Check.", (), "haiku", form=Form),
    }
    delegation = Delegation(client, hub, roles, tools, {"max_turns": 3})
    own: Json = {"system": "You are lead.", "task": "Begin.", **some_settings(dice)}
    own["tools"] = [task_tool(delegation), *tools.values()]
    await play(dice, hub, "lead", run_agent(client, hub, "lead", **own))


SEEN = (  # what must have come about in these runs, by words of the requests
    *("not run: the turn ended with max_tokens", "not run: the turn ended with end_turn"),
    *("not run: the turn ended with pause_turn", "not run: in your last turn"),
    *("stopped: it may or may not have been done", "over 2 s; it may still be done"),
    *("unknown tool no.such.tool", "bad arguments", "KeyError", "swallowed", "(empty)"),
    *("Messages that came in meanwhile", "&lt;/agent-message>", ": cancelled", "spawned: "),
    *("Your last turn had no text", "That does not fit the form", "It is a report to weigh"),
    *('"tool_choice": {"type": "none"}', "web_search_tool_result", "image/png", "redacted_th"),
)


async def play_all(runs: int) -> Model:
    model = Model()
    client = await client_over(model, "random")
    async with ticking() as clock:
        for seed in range(runs):
            model.dice = random.Random(seed)
            kind = model.dice.choice([one_agent, one_agent, a_lead, an_orchestrator])
            await kind(model.dice, client, clock)
    await client.close()
    return model


@pytest.fixture(scope="module")
def played() -> Model:
    return run(play_all(300))


def test_none_of_some_thousand_requests_of_random_runs_would_be_refused(played: Model) -> None:
    assert played.refused == []
    assert len(played.requests) > 1_500


def test_thinking_goes_back_as_it_came(played: Model) -> None:
    kinds = ("thinking", "redacted_thinking")
    for request in played.requests:
        said = [m["content"] for m in request["messages"] if m["role"] == "assistant"]
        thoughts = [block for blocks in said for block in blocks if block["type"] in kinds]
        assert {json.dumps(thought, sort_keys=True) for thought in thoughts} <= played.given


def test_the_random_runs_bring_about_what_makes_requests_go_wrong(played: Model) -> None:
    counts = Counter[str]()
    for request in played.requests:
        text = json.dumps(request, ensure_ascii=False)
        counts.update(words for words in SEEN if words in text)
    assert [words for words in SEEN if not counts[words]] == []


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def call(number: int) -> Json:
    return {"type": "tool_use", "id": f"t{number}", "name": "look", "input": {}}


def result(number: int) -> Json:
    return {"type": "tool_result", "tool_use_id": f"t{number}", "content": "Seen."}


LOOK = {"name": "look", "description": "Look.", "input_schema": {"type": "object"}}
TAKEN: Json = {
    "model": "m",
    "max_tokens": 1,
    "system": "You are solo.",
    "tools": [LOOK],
    "messages": [
        {"role": "user", "content": "Begin."},
        {"role": "assistant", "content": [THINKING, text("I look twice."), call(1), call(2)]},
        {"role": "user", "content": [result(2), result(1), text("News.")]},
        {"role": "assistant", "content": [text("Seen.")]},
        {"role": "user", "content": "Go on."},
    ],
}
START, TURN, ANSWERS, END, LAST = (("messages", number, "content") for number in range(5))
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}
ASKED = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}


def changed(path: tuple[str | int, ...], value: Any) -> Json:
    """Return a request that the API takes, with something else at this place."""
    request: Json = copy.deepcopy(TAKEN)
    place: Any = request
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return request


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("system",), [text("You are solo.")]),
        (("tools",), [LOOK, SEARCH]),
        (("tool_choice",), {"type": "tool", "name": "look"}),
        (("messages",), [*TAKEN["messages"], {"role": "user", "content": "And now?"}]),
        (("messages",), [*TAKEN["messages"], {"role": "assistant", "content": [ASKED]}]),
        (END, [REDACTED, ASKED, FOUND, text("Found. ")]),
        (END, [text("One."), text("Two.")]),
        ((*ANSWERS, 0, "content"), [text("Seen."), PICTURE]),
        ((*ANSWERS, 0, "is_error"), True),
        (LAST, [PICTURE, text("Look.")]),
        (("messages", 4, "role"), "assistant"),
    ],
)
def test_what_the_api_takes_is_not_refused(path: tuple[str | int, ...], value: Any) -> None:
    assert problems(TAKEN) == problems(changed(path, value)) == []


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("model",), "", "model: a name is required"),
        (("max_tokens",), 0, "from 1 up"),
        (("max_tokens",), None, "from 1 up"),
        (("system",), " ", "system.0: text must be non-empty"),
        (("system",), [text("")], "system.0: text must be non-empty"),
        (("messages",), [], "at least one message"),
        (("messages", 0, "role"), "system", "messages.0: {"),
        (("messages", 0, "name"), "ann", "messages.0: {"),
        (("messages", 0, "role"), "assistant", "the first message must be the user's"),
        (START, " \n", "more than blanks"),
        (START, [], "content must be non-empty"),
        (START, [{"type": "video"}], "can't stand in a message of role user"),
        (START, [{"type": "image"}], "a source is required"),
        (START, [text("Begin.") | {"score": 1}], "['score'] are not permitted"),
        (START, [result(3)], "tool_result without tool_use in the message before: {'t3'}"),
        ((*TURN, 1, "text"), "\t", "more than blanks"),
        ((*TURN, 2, "id"), "t.1", "id: must match"),
        ((*TURN, 2, "id"), "", "id: must match"),
        ((*TURN, 2, "name"), "", "1 to 200 characters"),
        ((*TURN, 2, "input"), "{}", "input: must be an object"),
        ((*TURN, 0, "signature"), "", "its signature is required"),
        (TURN, [text("I look."), THINKING, call(1), call(2)], "thinking must come before"),
        (TURN, [text("I look."), call(1), text("Again."), call(2)], "nothing may stand behind"),
        (TURN, [call(1), call(2), call(2)], "ids must be unique: t2"),
        (TURN, [result(1), call(1), call(2)], "can't stand in a message of role assistant"),
        (END, [THINKING], "can't be thinking"),
        (END, [text("So."), FOUND], "without server_tool_use before it"),
        (END, [text("Again."), call(1)], "ids must be unique: t1"),
        (ANSWERS, "Go on.", "tool_use without tool_result in the next message"),
        (ANSWERS, [result(1)], "in the next message: {'t2'}"),
        (ANSWERS, [result(1), result(1), result(2)], "more than one tool_result"),
        (ANSWERS, [result(1), result(2), result(3)], "in the message before: {'t3'}"),
        (ANSWERS, [text("News."), result(1), result(2)], "must come before other content"),
        ((*ANSWERS, 0, "tool_use_id"), "t 2", "tool_use_id: must match"),
        ((*ANSWERS, 0, "is_error"), "no", "true or false"),
        ((*ANSWERS, 0, "content"), [text("")], "more than blanks"),
        ((*ANSWERS, 0, "content"), [THINKING], "can't stand in a result"),
        ((*ANSWERS, 0, "content"), [{"type": "document"}], "a source is required"),
        (LAST, [THINKING], "can't stand in a message of role user"),
        (("messages",), TAKEN["messages"][:2], "tool_use without tool_result in the next"),
        (("messages", 4), {"role": "assistant", "content": "So "}, "can't end with blanks"),
        (("tools",), [], "tools: required, because the conversation has calls"),
        (("tools", 0, "name"), "look up", "name: must match"),
        (("tools", 0, "name"), "l" * 129, "name: must match"),
        (("tools", 0, "input_schema"), {"type": "string"}, "the schema of an object"),
        (("tools",), [LOOK, SEARCH | {"name": "look"}], "the name look is used twice"),
        (("tool_choice",), {"type": "tool", "name": "dig"}, "no tool is called dig"),
    ],
)
def test_what_the_api_refuses_is_found(path: tuple[str | int, ...], value: Any, why: str) -> None:
    assert [problem for problem in problems(changed(path, value)) if why in problem]


def test_a_choice_of_tools_needs_tools() -> None:
    request = {"model": "m", "max_tokens": 1, "tool_choice": {"type": "auto"}}
    assert problems(request | {"messages": TAKEN["messages"][:1]}) == [
        "tool_choice: only with tools"
    ]


def problems_of(client: Plain, **settings: Any) -> list[str]:
    """Return what the API would refuse of the requests that an agent sends."""
    hub = quiet_hub("solo")
    run(run_agent(client, hub, "solo", **SOLO | settings))
    return [problem for request in client.requests for problem in problems(request)]


def test_an_agent_that_only_thought_is_asked_for_words() -> None:
    assert problems_of(Plain([THINKING], [text("Done.")])) == []


def test_an_agent_that_said_nothing_but_blanks_is_asked_for_words() -> None:
    client, hub = Plain([text(" \n")], [text("Done.")]), quiet_hub("solo")
    assert run(run_agent(client, hub, "solo", **SOLO)) == "Done."


@pytest.mark.parametrize(
    "row", [{"type": "text", "value": 1}, {"type": "document", "title": "Terms"}]
)
def test_rows_of_data_that_look_like_blocks_reach_the_model_as_text(row: Json) -> None:
    client = Plain([call(1)], [text("Done.")])
    assert problems_of(client, tools=[returning("look", [row])]) == []


def test_a_helper_that_is_started_with_blanks_gets_a_task() -> None:
    found: list[str] = []

    def script(agent: str, turn: int, body: Json) -> Answer:
        found.extend(problems(body))
        start: Answer = [{"create_subagents": {"base_instruction": " "}}]
        return [start, [{"wait_for_message": {}}], "Done."][turn - 1] if agent == "lead" else "Hi."

    async def body() -> None:
        async with scripted(in_turn(script)) as session:
            await run_lead(session.client, Hub(session.clock, show=None), "Work.", model="m")

    run(body())
    assert found == []
