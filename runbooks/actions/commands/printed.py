"""What a command printed: a part of it for the journal, all of it in a file where it is long."""

from __future__ import annotations

from typing import Any, Final

from model.ports import CommandResult
from probes.texts import one_line
from runbooks.actions.base import StepContext

# Of each stream: enough for what a person looks for first, and for what a later step reads.
HEAD_CHARACTERS: Final = 1000
TAIL_CHARACTERS: Final = 3000


async def outputs_of(ctx: StepContext, result: CommandResult) -> dict[str, Any]:
    """`exit_code`, `stdout`, `stderr`, `took_ms`, and `output_file` where a stream was cut."""
    out, err = result.stdout, result.stderr
    found: dict[str, Any] = {
        "exit_code": result.exit_code,
        "stdout": brief(out),
        "stderr": brief(err),
        "took_ms": round(result.took_s * 1000),
        "output_file": "",
    }
    if len(out) + len(err) > len(found["stdout"]) + len(found["stderr"]):
        text = f"--- stdout\n{out}\n--- stderr\n{err}\n"
        found["output_file"] = await ctx.ports.outputs.keep(ctx.execution, ctx.step, text)
    return found


def brief(text: str) -> str:
    """Its beginning and its end, without line ends there."""
    text = text.rstrip("\r\n")
    left_out = len(text) - HEAD_CHARACTERS - TAIL_CHARACTERS
    if left_out <= 0:
        return text
    return f"{text[:HEAD_CHARACTERS]}\n[… {left_out} characters left out …]\n{text[-TAIL_CHARACTERS:]}"


def said(found: dict[str, Any]) -> str:
    """The last line of what it printed, for a sentence."""
    text = str(found["stderr"] or found["stdout"]).strip()
    return one_line(text.splitlines()[-1]) if text else "without a word"
