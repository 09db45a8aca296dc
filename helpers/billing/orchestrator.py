"""The billing team at work on a case, all parts together. Notebook 06 builds it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from anthropic import APIError, AuthenticationError, NotFoundError

from ..agent import Client, run_agent
from ..budget import Budget
from ..delegation import MODELS, Delegation, task_tool, work_and_answer
from ..hooks import Hook, compose, no_hook
from ..hub import Hub
from ..tools import Tool, by_name
from .gateway import TODAY, gateway_tool
from .refund import Case, refund_tool
from .roles import ORCHESTRATOR, ROLES, OrchestratorOutput


@dataclass(frozen=True)
class Outcome:
    """How a case ended: Outcome("done", OrchestratorOutput(…)); without an answer, None."""

    status: str
    output: OrchestratorOutput | None


def case_task(customer: str, words: str) -> str:
    """Return the orchestrator's task: the day, the customer and the customer's own words."""
    return f"Today is {TODAY}. Case of {customer}. The customer writes: {words}"


def case_tools(
    client: Client, hub: Hub, case: Case, files: Sequence[Tool], settings: dict[str, Any]
) -> tuple[list[Tool], Delegation]:
    """Return the orchestrator's tools, and the delegation that holds those of its subagents."""
    toolbox = by_name([gateway_tool(case.customer, case.charges)]) | by_name(files)
    watch = {"compliance_reviewer": case.review}
    delegation = Delegation(client, hub, ROLES, toolbox, settings, watch)
    return [task_tool(delegation), refund_tool(case)], delegation


async def run_case(
    client: Client,
    hub: Hub,
    case: Case,
    task: str,
    files: Sequence[Tool],
    *,
    budget: Budget | None = None,
    hook: Hook = no_hook,
    **settings: Any,
) -> Outcome:
    """Let the orchestrator and its team work on a case; return how it ended (notebook 05).

    The settings are those of `run_agent`, for all agents; without a budget the mandate's counts.
    """
    budget = budget or Budget(case.mandate.budget)
    settings["hook"] = compose(hook, budget.hook)
    tools, _ = case_tools(client, hub, case, files, settings)
    hub.register("orchestrator")
    case.log = hub.log
    own: dict[str, Any] = {"system": ORCHESTRATOR, "task": task, "tools": tools, **settings}
    work = partial(work_and_answer, form=OrchestratorOutput)
    model, text = MODELS["sonnet"], ""
    try:
        text = await run_agent(client, hub, "orchestrator", model=model, work=work, **own)
    except APIError as error:  # the status is "crashed" now, and the trace says why
        if isinstance(error, AuthenticationError | NotFoundError):
            raise  # a wrong key or model is for the person
    status = hub.boxes["orchestrator"].status
    done = OrchestratorOutput.model_validate_json(text) if status == "done" else None
    return Outcome(status, done)
