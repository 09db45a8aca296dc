"""Answers to the exercise of notebook 00, with the whole sentence that a wrong one hears."""

from typing import Any

RIGHT: list[tuple[str, Any]] = [("00.1", "helper2")]

WRONG: list[tuple[str, Any, str]] = [
    ("00.1", "helper1", "helper1 was the first to send; look for the first line with ←"),
    ("00.1", "lead", "the lead got its mail later; look for the first line with ←"),
    (
        "00.1",
        ["helper2"],
        'the answer is the name of an agent, in quotes: "lead", "helper1" or "helper2"',
    ),
]
