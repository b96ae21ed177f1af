"""Incident reports, made from the journal alone: the same with the daemon alive or dead, now or next year."""

from controller.report.content import report_json
from controller.report.markdown import report_markdown

__all__ = ["report_json", "report_markdown"]
