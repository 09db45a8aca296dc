"""Scripted agents that react: they read their task and mail and follow a few rules. No model.

For free play: `scripted(reactive)`. An agent says who its task says it is, answers its mail, does
what its task says as "Use TOOL: VALUE.", and says what it does not know.
"""

import re
from typing import Any

Blocks = list[dict[str, Any]]
TURNS = 8  # then it sums up, whatever comes in
WHO = re.compile(r"\bYou are (?P<who>[^.,;\n]+(?:, an? [^.,;\n]+)?)")
MAIL = re.compile(r'<agent-message from="([^"]+)">\n(.*?)\n</agent-message>', re.DOTALL)
USE = re.compile(r"\bUse (\w+): ([^.]+)\.")
OVER = re.compile(r"Finish now|nobody can send|no other agent|s timeout")
MANNERS = {"pirate": "Arr! ", "poet": "Oh! ", "robot": "Beep. "}  # by a word of who one is


def text_of(content: Any) -> str:
    """Return all text of a message, that of tool results included."""
    if isinstance(content, str):
        return content
    parts = [part.get("text") or part.get("content", "") for part in content]
    return "\n".join(text_of(part) for part in parts)


def who_is(agent: str, body: dict[str, Any]) -> str:
    """Return who an agent is by its task, or else its system prompt, or its name."""
    first = text_of(body["messages"][0]["content"])
    for text in (first, str(body.get("system", ""))):
        if (found := WHO.search(text)) and found["who"] != agent:
            return found["who"]
    return agent


def others(agent: str, body: dict[str, Any]) -> list[str]:
    """Return the names that a system prompt lists as the others, or who is to be reported to."""
    system = str(body.get("system", ""))
    listed = re.search(r"The others are: ([^.]+)\.", system) or re.search(
        r"Report to (\w+)", system
    )
    return [name for name in re.findall(r"[\w-]+", listed[1]) if name != agent] if listed else []


def answer_to(sender: str, words: str, me: str) -> str:
    """Return what an agent writes back, by the first rule that fits."""
    if re.search(r"who are you|your name|introduce", words, re.IGNORECASE):
        return f"I am {me}."
    if "?" in words:
        return f"I don't know that, {sender}: I follow a few rules, no model is behind me."
    return f"Thank you, {sender}. I have read: {words[:60]}"


def letter(content: str, *names: str) -> dict[str, Any]:
    return {"send_message": {"recipient_ids": [*names], "content": content}}


def used(task: str, turn: int, body: dict[str, Any]) -> Blocks | None:
    """Return the call that a task asks for in this turn: its value is the tool's first argument."""
    uses = USE.findall(task)
    tools = {tool["name"]: tool["input_schema"]["properties"] for tool in body.get("tools", ())}
    if turn > len(uses) or uses[turn - 1][0] not in tools:
        return None
    name, value = uses[turn - 1]
    return [{name: dict.fromkeys(list(tools[name])[:1], value)}]


def reactive(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
    """Return an agent's reply by its rules; see the module."""
    tools = {tool["name"] for tool in body.get("tools", ())}
    task, last = (text_of(body["messages"][place]["content"]) for place in (0, -1))
    me, names = who_is(agent, body), others(agent, body)
    manner = next((words for word, words in MANNERS.items() if word in me), "")
    heard = MAIL.findall("\n".join(text_of(m["content"]) for m in body["messages"]))
    senders = ", ".join(dict.fromkeys(name for name, _ in heard if name != "hub")) or "nobody"
    new = MAIL.findall(last)
    asked = [mail for mail in new if mail[0] != "hub" and ("?" in mail[1] or mail[0] == "human")]
    question = re.search(r"Ask [^:.]*: ([^?]+\?)", task)
    if turn >= TURNS or OVER.search(last) or "wait_for_message" not in tools:
        return f"{manner}I am {me}. I have heard from {senders}."
    if turn == 1 and "create_subagents" in tools:
        each = ["You are the first helper.", "You are the second helper."]
        base = "Introduce yourself to lead."
        return [{"create_subagents": {"base_instruction": base, "per_subagent_instructions": each}}]
    if use := used(task, turn, body):
        return use
    if turn == 1 + len(USE.findall(task)) and names:
        found = "" if turn == 1 else f" I have found: {text_of(body['messages'][-1]['content'])}"
        return [letter(f"{manner}I am {me}.{found}", *names)]
    if asked:
        return [letter(manner + answer_to(name, words, me), name) for name, words in asked]
    first = 2 + len(USE.findall(task))  # after the greeting
    if question and first <= turn < first + len(names):  # each of the others once
        return [letter(f"{manner}{question[1]}", names[turn - first])]
    return [{"wait_for_message": {}}]
