"""The example of notebooks 05 and 06: a billing team, its gateway, and a refund guarded in code."""

from .checks import report, task_table, verify, work_line
from .files import file_tools, folder_hash
from .gateway import CHARGES, TODAY, Charge, dollars, gateway_tool
from .orchestrator import Outcome, case_task, run_case
from .refund import Approval, ApprovalRequest, Case, Ledger, Mandate, refund_tool
from .roles import ROLES, ComplianceVerdict, OrchestratorOutput

__all__ = [
    "CHARGES",
    "ROLES",
    "TODAY",
    "Approval",
    "ApprovalRequest",
    "Case",
    "Charge",
    "ComplianceVerdict",
    "Ledger",
    "Mandate",
    "OrchestratorOutput",
    "Outcome",
    "case_task",
    "dollars",
    "file_tools",
    "folder_hash",
    "gateway_tool",
    "refund_tool",
    "report",
    "run_case",
    "task_table",
    "verify",
    "work_line",
]
