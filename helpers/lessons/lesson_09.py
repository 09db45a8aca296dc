"""Checks of notebook 09, doors. They need the extra."""

from importlib.util import find_spec
from typing import Any

from pydantic import ValidationError

from ..billing.refund import Case, Ledger, Mandate, RefundArguments, refund_tool
from ..hub import Clock
from ..tools import NoArguments, Tool, ToolCall, call_tool
from .exercises import Check


async def check_reading(answer: Any) -> str | None:
    from mcp import Client

    from ..doors import mcp_server

    server = mcp_server(
        "shed",
        [
            Tool("count", "Count.", NoArguments, lambda _: "3"),
            Tool("water", "Water.", NoArguments, lambda _: "done", acts=True),
            Tool("look", "Look.", NoArguments, lambda _: "green"),
        ],
    )
    async with Client(server) as client:
        tools = await answer(client, Clock())
        if tools is ... or not isinstance(tools, list):
            return "it should return a list of tools"
        names = [getattr(tool, "name", tool) for tool in tools]
        if names != ["count", "look"]:
            return f"count and look read, water acts; it returned {names}"
        said = await tools[0].handler(tools[0].arguments())
    return None if said == "3" else "make them with mcp_tools"


async def check_past_the_schema(answer: Any) -> str | None:
    case = Case("cust_12345", Mandate("Resolve it."), Ledger(), approve=lambda request: None)
    try:
        RefundArguments.model_validate(answer)
    except ValidationError as error:
        return f"the schema already refuses that: {error.errors()[0]['msg']}"
    if answer["customer_id"] == case.customer and answer["amount"] == "49.99":
        return "that is the honest call: lie about something"
    call = ToolCall("toolu_1", "issue_refund", answer)
    result = await call_tool({"issue_refund": refund_tool(case)}, call)
    return None if result["is_error"] and not case.refunds() else "it was paid"


async def check_shout(answer: Any) -> str | None:
    from mcp import Client

    server = answer()
    if server is ... or not hasattr(server, "run"):
        return "it should return a server, made by mcp_server"
    async with Client(server) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        if names != ["shout"]:
            return f"it should serve one tool, shout, and not {names}"
        result = await client.call_tool("shout", {"text": "hello"})
        if result.is_error or result.content[0].text != "HELLO":
            return f"shout('hello') should give HELLO, not {result.content[0]}"
        if not (await client.call_tool("shout", {"text": "a" * 21})).is_error:
            return "it takes 21 characters: the limit is not checked"
    return None


CHECKS: dict[str, Check] = {
    "09.1": check_reading,
    "09.2": check_past_the_schema,
    "09.3": check_shout,
}
if not find_spec("mcp"):
    CHECKS = {}
