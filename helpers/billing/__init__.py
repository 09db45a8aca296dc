"""The example of notebooks 05 and 06: a billing team, its gateway, and a refund guarded in code."""

from .checks import permissions, report, task_table, verify, work_line
from .files import file_tools, folder_hash
from .gateway import (
    CHARGES,
    TODAY,
    WINDOW,
    Charge,
    Debt,
    debts,
    dollars,
    gateway_tool,
    is_settled,
    parse_cents,
)
from .orchestrator import Outcome, case_task, case_tools, run_case
from .refund import (
    Approval,
    ApprovalRequest,
    Case,
    Ledger,
    Mandate,
    Refused,
    Review,
    find_debt,
    refund_tool,
)
from .roles import ORCHESTRATOR, ROLES, ComplianceVerdict, OrchestratorOutput

__all__ = [
    "CHARGES",
    "ORCHESTRATOR",
    "ROLES",
    "TODAY",
    "WINDOW",
    "Approval",
    "ApprovalRequest",
    "Case",
    "Charge",
    "ComplianceVerdict",
    "Debt",
    "Ledger",
    "Mandate",
    "OrchestratorOutput",
    "Outcome",
    "Refused",
    "Review",
    "case_task",
    "case_tools",
    "debts",
    "dollars",
    "file_tools",
    "find_debt",
    "folder_hash",
    "gateway_tool",
    "is_settled",
    "parse_cents",
    "permissions",
    "refund_tool",
    "report",
    "run_case",
    "task_table",
    "verify",
    "work_line",
]
