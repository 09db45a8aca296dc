"""Serves the guarded tools of one case over MCP: `python -m helpers.doors --help`."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from ..billing import Case, ComplianceVerdict, Ledger, Mandate, gateway_tool, refund_tool
from . import elicited, mcp_server


def case_of(options: argparse.Namespace) -> Case:
    """Return the case that is served. ValueError: the verdict is none."""
    mandate = Mandate(f"Resolve the duplicate charge that {options.customer} reports")
    case = Case(options.customer, mandate, Ledger(str(options.ledger)), approve=elicited())
    if options.verdict:
        text = options.verdict.read_text(encoding="utf-8")
        case.review("given by whoever serves")(ComplianceVerdict.model_validate_json(text))
    return case


async def serve_stdio(server: Any) -> None:
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m helpers.doors", description=__doc__)
    parser.add_argument("--customer", default="cust_12345", help="whose case it is (cust_12345)")
    parser.add_argument("--ledger", type=Path, default="refunds.db", help="a file")
    parser.add_argument("--verdict", type=Path, help="a JSON file; none: no refund")
    parser.add_argument("--http", type=int, metavar="PORT", help="streamable HTTP, not stdio")
    options = parser.parse_args()
    try:
        case = case_of(options)
    except (OSError, ValueError) as error:
        print(f"not served: {error}", file=sys.stderr)
        return 1
    server = mcp_server("billing", [gateway_tool(case.customer), refund_tool(case)])
    if options.http:
        import uvicorn

        uvicorn.run(server.streamable_http_app(), host="127.0.0.1", port=options.http)
    else:
        asyncio.run(serve_stdio(server))
    return 0


if __name__ == "__main__":
    sys.exit(main())
