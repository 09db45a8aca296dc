"""The thin package that the notebooks import. Its folders are floors; none imports one above it.

    trace hub tools hooks agent team    what every project copies: read in notebooks 01 to 03
    spawn delegation budget             built on it in 04, 05 and 06
    steering run                        a person and a team that runs: 07
    billing/                            the example of 05 and 06: gateway, refund, roles, files
    replies/                            plumbing: where replies come from without a model
    views/                              plumbing: pictures of a run, made from its log
    doors/                              plumbing, an extra: tools over MCP, both ways
    lessons/                            plumbing: the checks of the exercises, and the one tool

The first four lines are taught: they never import plumbing, and run with a plain AsyncAnthropic.
What lessons use of the first three is handed on here: `from helpers import Hub, run_team`.
"""

from .agent import Client, run_agent, task_group
from .budget import Budget, cost, spending, spending_lines
from .delegation import Delegation, TaskArguments, task_tool, work_and_answer
from .hooks import EndAgent, Go, Hook, Step, compose, no_hook
from .hub import Clock, Hub, Message, end_agent
from .run import Run
from .spawn import sleep_tool
from .steering import Gate
from .team import Crew, Member, crew, heartbeat, run_team
from .tools import Arguments, NoArguments, Tool, ToolCall, call_tool, messaging_tools, neutralise
from .trace import one_line

__all__ = [
    "Arguments",
    "Budget",
    "Client",
    "Clock",
    "Crew",
    "Delegation",
    "EndAgent",
    "Gate",
    "Go",
    "Hook",
    "Hub",
    "Member",
    "Message",
    "NoArguments",
    "Run",
    "Step",
    "TaskArguments",
    "Tool",
    "ToolCall",
    "call_tool",
    "compose",
    "cost",
    "crew",
    "end_agent",
    "heartbeat",
    "messaging_tools",
    "neutralise",
    "no_hook",
    "one_line",
    "run_agent",
    "run_team",
    "sleep_tool",
    "spending",
    "spending_lines",
    "task_group",
    "task_tool",
    "work_and_answer",
]
