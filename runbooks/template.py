"""Fills in `{{ … }}` in a step's options and judges `when`, in a sandbox that can only look things up.

An expression may name variables, take items of mappings and lists, compare, and use the filters below. It can
call nothing, loop over nothing and reach no attribute of a Python object, so a runbook is data. Where a value
is one whole expression it keeps its type (a list stays a list); else the result is text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError, Undefined, nodes
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from model.errors import RunbookError
from runbooks.values import unjournalable


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FILTERS: Final = _words(
    "abs d default first int join last length list lower max min reject replace select sort string trim "
    "unique upper"
)
TESTS: Final = _words(
    "boolean defined divisibleby eq equalto even false ge gt in integer le lt mapping ne none number odd "
    "sameas sequence string true undefined"
)
# Everything else that the grammar knows is refused: it would be code.
_ALLOWED: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.List, nodes.Dict,
    nodes.Pair, nodes.Tuple, nodes.Getattr, nodes.Getitem, nodes.Filter, nodes.Test, nodes.Compare,
    nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.Concat, nodes.Add, nodes.Sub,
    nodes.Neg, nodes.Keyword,
)  # fmt: skip
_MOST_CHARACTERS: Final = 32_768  # the content of a file is a template too
_LINE_ENDS: Final = "\x7f\x85\u2028\u2029"


def _plain(value: Any) -> Any:
    """What may stand inside a text: a list or null there would be a slip of the author."""
    if value is None or isinstance(value, Mapping | list | tuple):
        raise TemplateError(f"{value!r} inside a text; for a list use `| join(', ')`, for null `| default`")
    return value


def _within_a_line(value: Any) -> Any:
    """What may stand inside a line: a value with a line's end in it would begin a line of its own making."""
    if isinstance(value, str) and any((c < " " and c != "\t") or c in _LINE_ENDS for c in value):
        raise TemplateError(f"{value!r} inside a line: it has a line's end or a control character in it")
    return _plain(value)


class _Environment(ImmutableSandboxedEnvironment):
    """Knows no globals. An attribute is an item of a mapping and nothing else."""

    def __init__(self, finalize: Callable[[Any], Any]) -> None:
        super().__init__(
            undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=finalize
        )
        self.globals.clear()
        self.filters = {name: self.filters[name] for name in FILTERS}
        self.tests = {name: self.tests[name] for name in TESTS}

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Undefined):
            return obj  # so that the message names what is missing first
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Undefined):
            return obj
        if isinstance(obj, Mapping):
            return obj[argument] if argument in obj else self.undefined(obj=obj, name=argument)
        if isinstance(obj, list | tuple | str) and isinstance(argument, int):
            return obj[argument] if -len(obj) <= argument < len(obj) else self.undefined(name=str(argument))
        return self.undefined(obj=obj, name=argument)

    def is_safe_callable(self, obj: Any) -> bool:  # noqa: ARG002
        return False

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ARG002
        return False


_ENVIRONMENT: Final = _Environment(_plain)
_BY_LINE: Final = _Environment(_within_a_line)


class TemplateFaultError(RunbookError):
    """A template is wrong, or names something that is not there."""


def render(value: Any, variables: Mapping[str, Any]) -> Any:
    """The value with every template in it filled in, at any depth; keys are taken as they are.

    Raises TemplateFaultError: wrong syntax, an undefined name, or a result that can't be journaled.
    """
    if isinstance(value, str):
        return _render_text(value, variables)
    if isinstance(value, Mapping):
        return {key: render(item, variables) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [render(item, variables) for item in value]
    return value


def render_by_line(text: str, variables: Mapping[str, Any]) -> str:
    """A text of several lines, into which every value fits as a part of a line. Raises TemplateFaultError."""
    if not is_template(text):
        return text
    _parse(text)
    try:
        return str(_BY_LINE.from_string(text).render(variables))
    except TemplateError as error:
        raise _problem(text, error) from error


def evaluate(expression: str, variables: Mapping[str, Any]) -> bool:
    """The truth of a `when`; it must be true or false, since `"no"` would be true.

    Raises TemplateFaultError.
    """
    value = _evaluate(expression, variables)
    if not isinstance(value, bool):
        raise TemplateFaultError(
            f"`{expression}` gives {value!r}, neither true nor false",
            hint="compare it: `x == 'y'`, `x is defined`, `x | length > 0`",
        )
    return value


def is_template(value: object) -> bool:
    return isinstance(value, str) and any(mark in value for mark in ("{{", "{%", "{#"))


def templated(value: Any, path: Sequence[int | str]) -> bool:
    """Is there a template at the place within a value, around it or below it?"""
    for part in path:
        if is_template(value):
            return True
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return False
    return next(_texts(value), None) is not None


def names_in(value: Any) -> Iterator[tuple[str, ...]]:
    """What the templates in a value name: `{{ steps.prove.lsn }}` gives ("steps", "prove", "lsn").

    Raises TemplateFaultError on wrong syntax.
    """
    for text in _texts(value):
        yield from _paths(_parse(text), tested=False)


def names_in_expression(expression: str) -> Iterator[tuple[str, ...]]:
    """The same of a `when`; a name that is only asked whether it is defined counts up to its parent."""
    yield from _paths(_parse(_wrapped(expression)), tested=False)


def compile_ahead(value: Any, expression: str | None = None) -> None:
    """Compile the templates of a value, and a `when`: their first use would cost milliseconds, in an outage.
    What is wrong is left to those who judge names."""
    texts = list(_texts(value))
    with suppress(TemplateFaultError, TemplateError):
        for text in texts:
            inner = _whole_expression(text, _parse(text))
            _template(text) if inner is None else _expression(inner)
        if expression is not None:
            _parse(_wrapped(expression))
            _expression(expression)


def constant(expression: str) -> bool | None:
    """The value of a `when` that depends on nothing, or None. Raises TemplateFaultError on wrong syntax."""
    return None if list(names_in_expression(expression)) else evaluate(expression, {})


def _texts(value: Any) -> Iterator[str]:
    """Every template in a value, at any depth."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif is_template(value):
        yield value


def _render_text(text: str, variables: Mapping[str, Any]) -> Any:
    if not is_template(text):
        return text
    tree = _parse(text)
    inner = _whole_expression(text, tree)
    if inner is not None:
        return _evaluate(inner, variables)
    try:
        return _template(text).render(variables)
    except TemplateError as error:
        raise _problem(text, error) from error


def _evaluate(expression: str, variables: Mapping[str, Any]) -> Any:
    _parse(_wrapped(expression))
    try:
        value = _expression(expression)(**variables)
        if isinstance(value, StrictUndefined):
            str(value)  # raises with the name that is missing
    except TemplateError as error:
        raise _problem(expression, error) from error
    except TypeError as error:
        raise TemplateFaultError(f"`{expression}` can't be worked out: {error}") from error
    if isinstance(value, tuple | Iterator):
        value = list(value)
    found = unjournalable(value, "its result")
    if found:
        raise TemplateFaultError(f"`{expression}`: {found}")
    return value


def _wrapped(expression: str) -> str:
    return "{{ " + expression + " }}"


@lru_cache(maxsize=512)
def _parse(text: str) -> nodes.Template:
    """The tree, if it holds nothing but what is allowed. Raises TemplateFaultError."""
    if len(text) > _MOST_CHARACTERS:
        raise TemplateFaultError(f"a template of more than {_MOST_CHARACTERS} characters")
    if "{%" in text or "{#" in text:
        raise TemplateFaultError(f"{_short(text)}: only `{{{{ expression }}}}` is allowed, no statements")
    try:
        tree = _ENVIRONMENT.parse(text)
    except TemplateError as error:
        raise _problem(text, error) from error
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED):
            what = "a call" if isinstance(node, nodes.Call) else f"`{type(node).__name__}`"
            raise TemplateFaultError(
                f"{_short(text)}: {what} is not allowed in a runbook",
                hint=f"name variables, compare them, use the filters {', '.join(sorted(FILTERS))}",
            )
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            raise TemplateFaultError(
                f"{_short(text)}: there is no filter {node.name!r}",
                hint=f"there are: {', '.join(sorted(FILTERS))}",
            )
        if isinstance(node, nodes.Test) and node.name not in TESTS:
            raise TemplateFaultError(
                f"{_short(text)}: there is no test {node.name!r}",
                hint=f"there are: {', '.join(sorted(TESTS))}",
            )
        if isinstance(node, nodes.Getattr | nodes.Name) and _private(node):
            raise TemplateFaultError(f"{_short(text)}: names that begin with `_` are not allowed")
    return tree


def _private(node: nodes.Getattr | nodes.Name) -> bool:
    return (node.attr if isinstance(node, nodes.Getattr) else node.name).startswith("_")


def _whole_expression(text: str, tree: nodes.Template) -> str | None:
    """The inside of the one pair of braces that is the whole value, or None."""
    body = tree.body
    if len(body) != 1 or not isinstance(body[0], nodes.Output):
        return None
    parts = [
        p for p in body[0].nodes if not (isinstance(p, nodes.TemplateData) and not p.data.strip())
    ]  # white space around it
    if len(parts) != 1 or isinstance(parts[0], nodes.TemplateData):
        return None
    inner = text.strip()[2:-2]
    return inner.removeprefix("-").removeprefix("+").removesuffix("-").removesuffix("+").strip()


@lru_cache(maxsize=512)
def _template(text: str) -> Any:
    return _ENVIRONMENT.from_string(text)


@lru_cache(maxsize=512)
def _expression(expression: str) -> Any:
    return _ENVIRONMENT.compile_expression(expression, undefined_to_none=False)


def _paths(node: nodes.Node, *, tested: bool) -> Iterator[tuple[str, ...]]:
    """Longest constant paths. Under `is defined` and `default` the last part may be missing."""
    path = _path(node)
    if path is not None:
        if tested:
            path = path[:-1]
        if path:
            yield path
        return
    lenient = (isinstance(node, nodes.Test) and node.name in ("defined", "undefined")) or (
        isinstance(node, nodes.Filter) and node.name in ("default", "d")
    )
    for child in node.iter_child_nodes():
        is_subject = lenient and isinstance(node, nodes.Test | nodes.Filter) and child is node.node
        yield from _paths(child, tested=is_subject)


def _path(node: nodes.Node) -> tuple[str, ...] | None:
    if isinstance(node, nodes.Name):
        return (node.name,)
    key: Any = None
    if isinstance(node, nodes.Getattr):
        key = node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        key = node.arg.value
    if not isinstance(key, str):
        return None
    parent = _path(node.node)  # type: ignore[attr-defined]
    return None if parent is None else (*parent, key)


def _problem(text: str, error: TemplateError) -> TemplateFaultError:
    if isinstance(error, UndefinedError):
        return TemplateFaultError(
            f"{_short(text)}: {error.message}",
            hint="declare it under `vars`, or take it from an earlier step",
        )
    if isinstance(error, SecurityError):
        return TemplateFaultError(f"{_short(text)}: not allowed in a runbook: {error.message}")
    return TemplateFaultError(f"{_short(text)}: {error.message}")


def _short(text: str) -> str:
    return f"`{text if len(text) <= 80 else text[:77] + '…'}`"
