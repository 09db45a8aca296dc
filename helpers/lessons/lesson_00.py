"""The check of notebook 00: reading a trace."""

from typing import Any

from .exercises import Check


async def check_first(answer: Any) -> str | None:
    if answer == "helper1":
        return "helper1 was the first to send; look for the first line with ←"
    if answer == "lead":
        return "the lead got its mail later; look for the first line with ←"
    if answer != "helper2":
        return 'the answer is the name of an agent, in quotes: "lead", "helper1" or "helper2"'
    return None


CHECKS: dict[str, Check] = {"00.1": check_first}
