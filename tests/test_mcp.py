"""Tools over MCP: hostile clients at the served refund, and servers that fail an agent."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, types
from mcp.server import Server

from helpers.agent import run_agent
from helpers.billing import Case, ComplianceVerdict, Ledger, Mandate, gateway_tool, refund_tool
from helpers.doors import elicited, mcp_server, mcp_tools, program
from helpers.hub import Clock, Hub
from helpers.lessons.notebooks import ROOT
from helpers.replies import connect, recorded, scripted
from helpers.team import Member, run_team
from helpers.tools import NoArguments, Tool, ToolCall, by_name, call_tool

from .support import in_order, run, settle

YES = types.ElicitResult(action="accept", content={"approve": True})
ARGS = {"amount": "49.99", "reason": "twice", "customer_id": "cust_12345"}
PAID = [("txn_8f3k2j1", "cust_12345", 4999, "ref_9x2m4p7")]
MODES = ("auto", "legacy")  # the two ways of the protocol


def served(approved: bool = True) -> tuple[Case, Any]:
    case = Case("cust_12345", Mandate("Resolve."), Ledger(), approve=elicited())
    if approved:
        bound: Any = {"case": "cust_12345", "transaction_id": "txn_8f3k2j1", "amount_cents": 4999}
        case.review("the letter")(ComplianceVerdict(**bound, approved=True, reasons=[]))
    return case, mcp_server("billing", [gateway_tool(case.customer), refund_tool(case)])


def text(result: Any) -> str:
    return ("error: " if result.is_error else "") + str(result.content[0].text)


async def ask_for(
    mode: Any, answer: Any, given: dict[str, Any], approved: bool = True, times: int = 1
) -> tuple[list[str], list[Any], list[str]]:
    """Call the served refund; return what the client reads, the ledger, and what a person read."""
    case, server = served(approved)
    asked: list[str] = []

    async def person(context: Any, params: Any) -> Any:
        asked.append(params.message)
        return answer

    async with Client(server, mode=mode, elicitation_callback=person if answer else None) as client:
        calls = (client.call_tool("issue_refund", given) for _ in range(times))
        results = await asyncio.gather(*calls)
    return [text(result) for result in results], case.refunds(), asked


@pytest.mark.parametrize("mode", MODES)
def test_a_person_at_the_client_allows_one_refund(mode: str) -> None:
    told, rows, asked = run(ask_for(mode, YES, ARGS))
    assert rows == PAID
    assert asked == ["Pay cust_12345 $49.99 of txn_8f3k2j1 back to Visa 4242? Reason: twice"]
    assert told[0].startswith("refunded $49.99")


@pytest.mark.parametrize("mode", MODES)
def test_five_at_once_are_one_refund(mode: str) -> None:
    told, rows, _ = run(ask_for(mode, YES, ARGS, times=5))
    assert rows == PAID
    assert len(set(told)) == 1


NO = types.ElicitResult(action="decline")
CLOSED = types.ElicitResult(action="cancel")
FALSE = types.ElicitResult(action="accept", content={"approve": False})
WORDS = types.ElicitResult(action="accept", content={"approve": "true"})
HOSTILE = [
    (NO, {}, True, "the person at the client said no"),
    (FALSE, {}, True, "the person at the client said no"),
    (WORDS, {}, True, "the person at the client said no"),
    (CLOSED, {}, True, "no decision"),
    (None, {}, True, "no decision"),
    (YES, {}, False, "no compliance verdict"),
    (YES, {"amount": "499.90"}, True, "is not the $49.99"),
    (YES, {"amount": 49.99}, True, "bad arguments: amount"),
    (YES, {"customer_id": "cust_66152"}, True, "this case is about"),
    (YES, {"approved": True}, True, "bad arguments: approved"),
    (YES, {"reason": None}, True, "bad arguments: reason"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("answer", "change", "approved", "why"), HOSTILE)
def test_anything_but_the_one_allowed_refund_is_refused(
    mode: str, answer: Any, change: dict[str, Any], approved: bool, why: str
) -> None:
    told, rows, _ = run(ask_for(mode, answer, ARGS | change, approved))
    assert rows == []
    assert told[0].startswith("error: ")
    assert why in told[0]


def raw(*lines: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Send lines of JSON-RPC to the command over stdio; return its answers and its errors."""

    async def talk(folder: Path) -> tuple[list[dict[str, Any]], str]:
        verdict = {"case": "cust_12345", "transaction_id": "txn_8f3k2j1", "amount_cents": 4999}
        (folder / "verdict.json").write_text(
            json.dumps(verdict | {"approved": True, "reasons": []})
        )
        options = ["--verdict", str(folder / "verdict.json"), "--ledger", str(folder / "ledger")]
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "helpers.doors", *options),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        sent = "".join(json.dumps({"jsonrpc": "2.0"} | line) + "\n" for line in lines)
        async with asyncio.timeout(30):
            assert server.stdin
            assert server.stdout
            server.stdin.write(sent.encode())
            await server.stdin.drain()
            wanted = sum("id" in line for line in lines)
            told = [json.loads(await server.stdout.readline()) for _ in range(wanted)]
            server.stdin.close()
            await server.wait()
        return told, str(Ledger(str(folder / "ledger")).rows())

    return run(talk(Path(tempfile.mkdtemp())))


def hello(**capabilities: Any) -> list[dict[str, Any]]:
    about = {"clientInfo": {"name": "raw", "version": "0"}, "capabilities": capabilities}
    params = {"protocolVersion": "2025-06-18"} | about
    return [
        {"id": 1, "method": "initialize", "params": params},
        {"method": "notifications/initialized"},
    ]


def call(number: int, **more: Any) -> dict[str, Any]:
    params = {"name": "issue_refund", "arguments": ARGS, **more}
    return {"id": number, "method": "tools/call", "params": params}


def test_a_raw_client_that_cannot_ask_gets_no_refund_from_the_command() -> None:
    told, rows = raw(*hello(), call(2))
    assert told[1]["result"]["isError"] is True
    assert "not approved: no decision" in str(told[1])
    assert rows == "[]"


def test_a_raw_client_that_forges_the_answer_gets_no_refund() -> None:
    forged = {"approve": {"action": "accept", "content": {"approve": True}}}
    told, rows = raw(*hello(), call(2, inputResponses=forged, requestState="any"))
    assert rows == "[]"
    assert "refunded" not in str(told)


def test_a_client_that_disappears_at_the_question_gets_no_refund() -> None:
    async def vanish() -> list[Any]:
        case, server = served()
        there = asyncio.Event()

        async def person(context: Any, params: Any) -> Any:
            there.set()
            await asyncio.Event().wait()

        async def ask() -> None:
            async with Client(server, mode="legacy", elicitation_callback=person) as client:
                await client.call_tool("issue_refund", ARGS)

        task = asyncio.create_task(ask())
        await there.wait()
        task.cancel()
        await asyncio.wait([task])
        assert not case.lock.locked()
        return case.refunds()

    assert run(vanish()) == []


@pytest.mark.parametrize("mode", MODES)
def test_the_command_serves_over_http_as_well(tmp_path: Path, mode: Any) -> None:
    async def call_it() -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = ["-m", "helpers.doors", "--http", str(port), "--ledger", str(tmp_path / "ledger")]
        server = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT)
        try:
            async with asyncio.timeout(30):
                while True:
                    with suppress(OSError):
                        (await asyncio.open_connection("127.0.0.1", port))[1].close()
                        break
                    await asyncio.sleep(0.05)
                async with Client(f"http://127.0.0.1:{port}/mcp", mode=mode) as client:
                    return text(await client.call_tool("issue_refund", ARGS))
        finally:
            server.kill()
            await server.wait()

    assert "no compliance verdict" in run(call_it())


def test_a_silent_client_does_not_lock_the_case_for_others() -> None:
    async def wait() -> tuple[str, list[Any]]:
        case, server = served()
        case.approve = elicited(seconds=0.05)

        async def never(context: Any, params: Any) -> Any:
            await asyncio.Event().wait()

        async def yes(context: Any, params: Any) -> Any:
            return YES

        async with Client(server, mode="legacy", elicitation_callback=never) as silent:
            stuck = asyncio.create_task(silent.call_tool("issue_refund", ARGS))
            async with Client(server, elicitation_callback=yes) as client:
                while not case.lock.locked():
                    await asyncio.sleep(0)
                told = text(await client.call_tool("issue_refund", ARGS))
            assert "no decision" in text(await stuck)
        return told, case.refunds()

    told, rows = run(wait())
    assert told.startswith("refunded $49.99")
    assert rows == PAID


def newer(number: int, given: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a call in the newer way of the protocol: it says who it is, and there is no hello."""
    prefix = "io.modelcontextprotocol/"
    about = {
        f"{prefix}protocolVersion": "2026-07-28",
        f"{prefix}clientInfo": {"name": "raw", "version": "0"},
        f"{prefix}clientCapabilities": {"elicitation": {"form": {}}},
    }
    return call(number, arguments=given, _meta=about, **more)


FORGED = {"approve": {"action": "accept", "content": {"approve": True}}}


def test_raw_clients_that_answer_what_they_were_not_asked_get_no_refund() -> None:
    lies: list[dict[str, Any]] = [
        ARGS | {"amount": "499.90"},
        ARGS | {"customer_id": "cust_66152"},
        ARGS | {"approved": True},
        ARGS,
    ]
    forged = [
        newer(n, lie, inputResponses=FORGED, requestState="any") for n, lie in enumerate(lies)
    ]
    at_once = [newer(n, ARGS) for n in range(10, 15)]
    told, rows = raw(*forged, *at_once)
    assert rows == "[]"
    assert "refunded" not in str(told)
    asked = [line for line in told if line["result"]["resultType"] == "input_required"]
    assert len(asked) == 6  # the honest arguments: a forged answer is asked anew


def test_a_yes_is_good_for_the_question_it_answers_and_once() -> None:
    async def answers() -> tuple[list[Any], list[Any]]:
        case, server = served()

        async def person(context: Any, params: Any) -> None:
            raise AssertionError("this client drives the rounds itself")

        async with Client(server, elicitation_callback=person) as client:

            async def ask(given: dict[str, Any], state: str | None = None) -> Any:
                answer = {"approve": YES} if state else None
                return await client.session.call_tool(
                    "issue_refund",
                    given,
                    input_responses=answer,
                    request_state=state,
                    allow_input_required=True,
                )

            first = (await ask(ARGS)).request_state
            other = await ask(ARGS | {"reason": "another one"}, first)  # not what was asked
            again = await ask(ARGS, first)  # used up
            unpaid = case.refunds()
            paid = await ask(ARGS, again.request_state)
        return [other.result_type, again.result_type, unpaid, text(paid)[:8]], case.refunds()

    told, rows = run(answers())
    assert told == ["input_required", "input_required", [], "refunded"]
    assert rows == PAID


def resource(**content: Any) -> Any:
    kind = types.TextResourceContents if "text" in content else types.BlobResourceContents
    return types.EmbeddedResource(type="resource", resource=kind(uri="x://y", **content))


def image(kind: str, data: str = "aGk=") -> Any:
    return types.ImageContent(type="image", data=data, mime_type=kind)


FAR = "http://127.0.0.1:9/schema.json"
PARTS = {
    "picture": image("image/png"),
    "drawing": image("image/svg+xml"),
    "huge": image("image/png", "A" * 5_000_004),
    "garbled": image("image/png", "A"),
    "note": resource(text="hello"),
    "scan": resource(blob="aGk=", mime_type="image/png"),
    "paper": resource(blob="aGk=", mime_type="application/pdf"),
}


def odd_server() -> Any:
    """A server with tools that are late, fail, answer with a picture, or answer nonsense."""

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        fields = {"a b": {"type": "integer"}, "far": {"$ref": FAR}, "odd": {"type": "strng"}}
        schema: dict[str, Any] = {"type": "object", "properties": fields}
        names = ("late", "fails", "empty", "a.b/c", "x" * 70, *PARTS)
        return types.ListToolsResult(tools=[types.Tool(name=n, input_schema=schema) for n in names])

    async def on_call(context: Any, params: Any) -> types.CallToolResult:
        if params.name == "late":
            await asyncio.sleep(30)
        if params.name == "fails":
            raise RuntimeError("no luck")
        parts = [PARTS[params.name]] if params.name in PARTS else []
        return types.CallToolResult(content=parts, structured_content={"got": params.arguments})

    return Server("odd", on_list_tools=list_tools, on_call_tool=on_call)


async def answer_of(name: str, given: dict[str, Any]) -> dict[str, Any]:
    async with Client(odd_server()) as client:
        tools = by_name(await mcp_tools(client, Clock(), seconds=0.05))
        return await call_tool(tools, ToolCall("toolu_1", name, given))


def data(kind: str, media: str) -> list[dict[str, Any]]:
    return [{"type": kind, "source": {"type": "base64", "media_type": media, "data": "aGk="}}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("picture", data("image", "image/png")),
        ("scan", data("image", "image/png")),
        ("paper", data("document", "application/pdf")),
        ("note", "hello"),
        ("empty", '{"got": {"a b": 7}}'),
        ("drawing", "(image/svg+xml, 2 bytes, not shown)"),
        ("huge", "(image/png, 3,750,003 bytes, not shown)"),
        ("a_b_c", '{"got": {"a b": 7}}'),
        ("x" * 64, '{"got": {"a b": 7}}'),
    ],
)
def test_what_a_model_can_read_reaches_it_as_a_block(name: str, content: Any) -> None:
    result = run(answer_of(name, {"a b": 7}))
    assert (result["is_error"], result["content"]) == (False, content)


def test_a_tool_is_described_by_its_server_or_else_by_its_name() -> None:
    async def descriptions() -> list[str]:
        tools = [Tool("nap", "Sleep a little.", NoArguments, str)]
        async with Client(odd_server()) as odd, Client(mcp_server("own", tools)) as own:
            first, *_ = await mcp_tools(odd, Clock())
            (last,) = await mcp_tools(own, Clock())
            return [first.description, last.description]

    assert run(descriptions()) == ["late", "Sleep a little."]


def test_a_served_tool_gives_its_blocks_as_the_protocol_has_them() -> None:
    parts = [*data("image", "image/png"), *data("document", "application/pdf")]
    blocks = [{"type": "text", "text": "Look:"}, *parts]
    tools = [Tool("look", "Look.", NoArguments, lambda _: blocks)]

    async def content() -> list[Any]:
        async with Client(mcp_server("own", tools)) as client:
            result = await client.call_tool("look", {})
            return [part.model_dump(exclude_none=True) for part in result.content]

    words, picture, rest = run(content())
    assert words == {"type": "text", "text": "Look:"}
    assert picture == {"type": "image", "data": "aGk=", "mime_type": "image/png"}
    assert rest == {"type": "text", "text": "(document, not sent)"}


@pytest.mark.parametrize(
    ("name", "given", "why"),
    [
        ("late", {}, "imed out"),
        ("fails", {}, "Internal server error"),
        ("picture", {"a b": "x"}, "is not of type 'integer'"),
        ("picture", {"odd": 1}, "the server's schema is broken: UnknownType"),
        ("picture", {"far": 1}, "the server's schema is broken"),
        ("garbled", {}, "Invalid base64"),
    ],
)
def test_what_a_server_does_wrong_is_an_error_result(
    name: str, given: dict[str, Any], why: str
) -> None:
    result = run(answer_of(name, given))
    assert result["is_error"] is True
    assert why in str(result["content"])


def test_a_call_that_is_cancelled_is_cancelled_at_the_server_and_the_next_one_works() -> None:
    ends: list[str] = []

    async def on_call(context: Any, params: Any) -> types.CallToolResult:
        if params.name == "slow":
            try:
                await asyncio.Event().wait()
            finally:
                ends.append("cancelled at the server")
        return types.CallToolResult(content=[types.TextContent(type="text", text="here")])

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        names = ("slow", "quick")
        tools = [types.Tool(name=name, input_schema={"type": "object"}) for name in names]
        return types.ListToolsResult(tools=tools)

    async def cancel() -> dict[str, Any]:
        async with Client(Server("s", on_list_tools=list_tools, on_call_tool=on_call)) as client:
            tools = by_name(await mcp_tools(client, Clock()))
            task = asyncio.create_task(call_tool(tools, ToolCall("toolu_1", "slow", {})))
            await settle(50)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            return await call_tool(tools, ToolCall("toolu_2", "quick", {}))

    assert run(cancel())["content"] == "here"
    assert ends == ["cancelled at the server"]


def test_a_schema_of_a_server_fetches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[Any] = []
    monkeypatch.setattr("urllib.request.urlopen", lambda *given, **_: fetched.append(given))
    run(answer_of("picture", {"far": 1}))
    assert fetched == []


@pytest.mark.parametrize("endless", [True, False])
def test_a_list_that_comes_to_no_end_is_an_error(endless: bool) -> None:
    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        if not endless:
            await asyncio.Event().wait()
        return types.ListToolsResult(tools=[], next_cursor="more")

    async def pick() -> None:
        async with Client(Server("endless", on_list_tools=list_tools)) as client:
            with pytest.raises(TimeoutError, match=r"did not list its tools within 0\.05 s"):
                await mcp_tools(client, Clock(), seconds=0.05)

    run(pick())


def test_an_unknown_name_among_those_picked_is_an_error() -> None:
    async def pick() -> None:
        async with Client(odd_server()) as client:
            with pytest.raises(ValueError, match=r"no tool lade; it has: late, fails"):
                await mcp_tools(client, Clock(), only=["late", "lade"])

    run(pick())


def clocks(agent: str, turn: int, body: dict[str, Any]) -> Any:
    zone = ["Asia/Tokyo", "No/Where"][turn % 2]
    return [{"time__get_current_time": {"timezone": zone}}] if turn <= 3 else "Done."


async def two_agents(opened: Any, server: Any) -> str:
    async with opened as session:
        hub = Hub(session.clock, show=None)
        members = [Member(name, "What time is it?") for name in ("lead", "helper1")]
        if server:
            async with Client(program(server)) as client:
                tools = await mcp_tools(client, session.clock, prefix="time")
                await run_team(session.client, hub, members, model=session.model, tools=tools)
        else:
            tools = await mcp_tools(None, session.clock, prefix="time")
            await run_team(session.client, hub, members, model=session.model, tools=tools)
    return repr([(e.step, e.time, e.kind, e.agent, e.data) for e in hub.log.events])


def test_two_agents_at_a_server_nobody_here_wrote_replay_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(two_agents(recorded("times", scripted(clocks), tmp_path), "mcp-server-time"))
    assert "Asia/Tokyo" in first
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    for _ in range(50):
        assert run(two_agents(connect("times", tmp_path), None)) == first


def test_a_server_whose_plug_is_pulled_ends_no_agent() -> None:
    async def pull() -> str:
        script = in_order([{"get_current_time": {"timezone": "UTC"}}])
        async with scripted(script) as session, Client(program("mcp-server-time")) as client:
            hub = Hub(session.clock, show=None)
            hub.register("solo")
            tools = await mcp_tools(client, session.clock)
            kill_children()
            own: Any = {"model": session.model, "system": "You are solo.", "task": "Go."}
            await run_agent(session.client, hub, "solo", tools=tools, **own)
        results = [e.data for e in hub.log.events if e.kind == "tool_result"]
        return f"{hub.boxes['solo'].status} {results[0]['error']} {results[0]['text']}"

    assert "done True RuntimeError: MCPError: Connection closed" in run(pull())


def kill_children() -> None:
    command = ["pkill", "-9", "-P", str(os.getpid()), "-f", "mcp-server-time"]
    subprocess.run(command, check=True)


def test_a_program_that_is_not_there_is_named() -> None:
    async def start() -> None:
        async with program("no-such-server"):
            pass

    with pytest.raises(ValueError, match=r"no program no-such-server"):
        run(start())
