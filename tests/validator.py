"""What the Messages API refuses in a request, as far as its documentation and its errors say so.

Sources: the API reference (messages/create), "Handle tool calls", "Handling stop reasons",
"Extended thinking", and the wording of errors that users have reported. Not covered: what only a
model decides (prefills, thinking with a forced tool), sizes, betas, and what becomes of a server
tool that never got its result.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

ID = re.compile(r"[a-zA-Z0-9_-]+")
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
THINKING = {"thinking": "signature", "redacted_thinking": "data"}  # and what must be in it
SERVER_RESULT = re.compile(r"(web_search|web_fetch|code_execution|advisor)_tool_result")

Json = dict[str, Any]


def problems(request: Json) -> list[str]:
    """Return what the API would refuse, each with its place; nothing for a request it takes."""
    messages = request.get("messages")
    found = [*in_settings(request), *in_tools(request)]
    if not isinstance(messages, list) or not messages:
        return [*found, "messages: at least one message is required"]
    if bad := [f"messages.{i}: {m!r}" for i, m in enumerate(messages) if not is_message(m)]:
        return [*found, *bad]
    contents = [in_content(f"messages.{i}", m) for i, m in enumerate(messages)]
    return [*found, *(p for content in contents for p in content), *in_order(request)]


def is_message(message: Any) -> bool:
    keys = {"role", "content"}
    return isinstance(message, dict) and set(message) == keys and message["role"] in ROLES


ROLES = {  # and the blocks that each may hold
    "user": {"text", "tool_result", "image", "document"},
    "assistant": {"text", "tool_use", "server_tool_use", *THINKING},
}


def is_blank(text: Any) -> bool:
    return not isinstance(text, str) or not text.strip()


def in_settings(request: Json) -> Iterator[str]:
    if is_blank(request.get("model")):
        yield "model: a name is required"
    most = request.get("max_tokens")
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        yield "max_tokens: an integer from 1 up is required"
    if "system" in request:
        system = request["system"]
        blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system
        for number, block in enumerate(blocks):
            if block.get("type") != "text" or is_blank(block.get("text")):
                yield f"system.{number}: text must be non-empty"


def in_tools(request: Json) -> Iterator[str]:
    tools = request.get("tools", [])
    for number, tool in enumerate(tools):
        if not TOOL_NAME.fullmatch(str(tool.get("name", ""))):
            yield f"tools.{number}.name: must match {TOOL_NAME.pattern}"
        schema = tool.get("input_schema")
        if "type" not in tool and (not isinstance(schema, dict) or schema.get("type") != "object"):
            yield f"tools.{number}.input_schema: must be the schema of an object"
    names = Counter(tool.get("name") for tool in tools)
    yield from (f"tools: the name {name} is used twice" for name in names if names[name] > 1)
    choice = request.get("tool_choice")
    if choice and not tools:
        yield "tool_choice: only with tools"
    if choice and choice.get("type") == "tool" and choice.get("name") not in names:
        yield f"tool_choice: no tool is called {choice.get('name')}"


def in_content(place: str, message: Json) -> Iterator[str]:
    """Yield what is wrong with each block of a message by itself."""
    role, content = message["role"], message["content"]
    if isinstance(content, str):
        if is_blank(content):
            yield f"{place}: text must hold more than blanks"
        return
    if not isinstance(content, list) or not content:
        yield f"{place}: content must be non-empty"
        return
    for number, block in enumerate(content):
        at, kind = f"{place}.content.{number}", block.get("type")
        if role == "assistant" and SERVER_RESULT.fullmatch(str(kind)):
            continue
        if kind not in ROLES[role]:
            yield f"{at}: {kind} can't stand in a message of role {role}"
        yield from in_block(at, block)


def in_block(at: str, block: Json) -> Iterator[str]:
    match block.get("type"):
        case "text":
            if is_blank(block.get("text")):
                yield f"{at}: text must hold more than blanks"
            if extra := set(block) - {"type", "text", "citations", "cache_control"}:
                yield f"{at}: {sorted(extra)} are not permitted"
        case "tool_use" | "server_tool_use":
            name = block.get("name")
            if not ID.fullmatch(str(block.get("id", ""))):
                yield f"{at}.id: must match {ID.pattern}"
            if not isinstance(name, str) or not 1 <= len(name) <= 200:
                yield f"{at}.name: 1 to 200 characters"
            if not isinstance(block.get("input"), dict):
                yield f"{at}.input: must be an object"
        case "tool_result":
            yield from in_result(at, block)
        case "image" | "document":
            if not isinstance(block.get("source"), dict):
                yield f"{at}: a source is required"
        case "thinking" | "redacted_thinking" as kind:
            if is_blank(block.get(THINKING[kind])):
                yield f"{at}: its {THINKING[kind]} is required"


def in_result(at: str, block: Json) -> Iterator[str]:
    if not ID.fullmatch(str(block.get("tool_use_id", ""))):
        yield f"{at}.tool_use_id: must match {ID.pattern}"
    if not isinstance(block.get("is_error", False), bool):
        yield f"{at}.is_error: true or false"
    content = block.get("content", "x")
    if isinstance(content, str):
        return
    for number, inner in enumerate(content):
        if inner.get("type") not in ("text", "image", "document"):
            yield f"{at}.content.{number}: {inner.get('type')} can't stand in a result"
        yield from in_block(f"{at}.content.{number}", inner)


def blocks_of(message: Json) -> list[Json]:
    content = message["content"]
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


def in_order(request: Json) -> Iterator[str]:
    """Yield what is wrong between messages, and between the blocks of an assistant's."""
    messages, kinds, used = request["messages"], Counter[str](), Counter[str]()
    if messages[0]["role"] != "user":
        yield "messages.0: the first message must be the user's"
    before: list[Json] = []  # the blocks of the assistant's message just before
    for number, message in enumerate(messages):
        blocks, place = blocks_of(message), f"messages.{number}"
        kinds.update(str(block.get("type")) for block in blocks)
        yield from in_answers(place, before, blocks)
        before = blocks if message["role"] == "assistant" else []
        yield from in_turn(place, before, used)
    if any(block.get("type") == "tool_use" for block in before):
        yield f"{place}: tool_use without tool_result in the next message"
    if (
        before
        and before[-1].get("type") == "text"
        and before[-1]["text"] != before[-1]["text"].rstrip()
    ):
        yield f"{place}: the final assistant content can't end with blanks"
    if (kinds["tool_use"] or kinds["tool_result"]) and not request.get("tools"):
        yield "tools: required, because the conversation has calls of tools"


def in_answers(place: str, before: list[Json], blocks: list[Json]) -> Iterator[str]:
    """Yield what is wrong with a message's results, which answer the calls just before."""
    calls = [block.get("id") for block in before if block.get("type") == "tool_use"]
    kinds = [block.get("type") for block in blocks]
    results = [block.get("tool_use_id") for block in blocks if block.get("type") == "tool_result"]
    if missing := set(calls) - set(results):
        yield f"{place}: tool_use without tool_result in the next message: {missing}"
    if extra := set(results) - set(calls):
        yield f"{place}: tool_result without tool_use in the message before: {extra}"
    if len(results) > len(set(results)):
        yield f"{place}: more than one tool_result for a tool_use"
    if "tool_result" in kinds[len(results) :]:
        yield f"{place}: tool_result must come before other content"


def in_turn(place: str, blocks: list[Json], used: Counter[str]) -> Iterator[str]:
    """Yield what is wrong with the order of an assistant's blocks; count the ids it has used."""
    kinds = [str(block.get("type")) for block in blocks]
    if "tool_use" in kinds and set(kinds[kinds.index("tool_use") :]) != {"tool_use"}:
        yield f"{place}: nothing may stand behind a tool_use but another one"
    if set(kinds) & set(THINKING) and kinds[0] not in THINKING:
        yield f"{place}: thinking must come before other content"
    if kinds and kinds[-1] in THINKING:
        yield f"{place}: the final block of an assistant message can't be thinking"
    for block, kind in zip(blocks, kinds, strict=True):
        if kind in ("tool_use", "server_tool_use"):
            used[str(block.get("id"))] += 1
            if used[str(block.get("id"))] > 1:
                yield f"{place}: tool_use ids must be unique: {block.get('id')}"
        elif SERVER_RESULT.fullmatch(kind) and not used[str(block.get("tool_use_id"))]:
            yield f"{place}: {kind} without server_tool_use before it"
