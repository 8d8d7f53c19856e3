"""A mutant: the source of a module with one small fault in it."""

import ast
import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Mutant", "mutants_of"]

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_CONVERSIONS = {
    "abs", "clamp", "contiguous", "detach", "double", "float", "lower", "round", "sqrt", "square",
    "strip", "to",
}  # fmt: skip
"""Methods whose call a mutant leaves out: ``x.detach()`` becomes ``x``."""
_DECIDED = (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Constant)
"""Conditions that have mutants of their own."""
_SKIPPED_FIELDS = {"annotation", "returns", "decorator_list", "bases"}
_SKIPPED_KEYWORDS = {"repr", "description", "default_factory"}
_TYPES = {"Annotated", "Callable", "Generic", "Literal", "TypeVar"}
"""Calls and subscripts of these are types, which change nothing that runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutant:
    """One fault.

    Attributes:
        first: The first line that it replaces, from 1.
        last: The last one.
        before: Those lines, with single spaces.
        after: The lines that stand there instead.
        source: The whole module.
    """

    first: int
    last: int
    before: str
    after: str
    source: str


def mutants_of(source: str) -> list[Mutant]:
    """Return all mutants of a module, in the order of its lines."""
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    found = {}
    for node, text in _faults(ast.parse(source)):
        first, last = node.lineno, node.end_lineno or node.lineno
        head, tail = lines[first - 1][: node.col_offset], lines[last - 1][node.end_col_offset :]
        changed = head + text.encode() + tail
        mutated = b"".join([*lines[: first - 1], changed, *lines[last:]]).decode()
        found[mutated] = Mutant(
            first=first,
            last=last,
            before=" ".join(b"".join(lines[first - 1 : last]).decode().split()),
            after=" ".join(changed.decode().split()),
            source=mutated,
        )
    return sorted(found.values(), key=lambda mutant: mutant.first)


def _faults(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Yield every part that is replaced, with the text in its place."""
    if _is_skipped(node):
        return
    match node:
        case ast.stmt():
            yield from ((node, text) for text in _statement_faults(node))
        case ast.expr():
            changed = itertools.chain(_expression_faults(node), _operator_faults(node))
            yield from ((node, f"({ast.unparse(other)})") for other in changed)
    if isinstance(node, ast.If | ast.IfExp | ast.While) and not isinstance(node.test, _DECIDED):
        yield node.test, f"(not {ast.unparse(node.test)})"
    if isinstance(node, ast.Raise):
        return
    for name, value in ast.iter_fields(node):
        children = value if isinstance(value, list) else [value]
        for child in children if name not in _SKIPPED_FIELDS else ():
            if isinstance(child, ast.AST):
                yield from _faults(child)


def _is_skipped(node: ast.AST) -> bool:
    match node:
        case ast.Assert() | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.Call(func=ast.Name(id=name)) | ast.Subscript(value=ast.Name(id=name)):
            return name in _TYPES or name.endswith(("Error", "Exception"))
        case ast.keyword(arg=str(name)):
            return name in _SKIPPED_KEYWORDS
        case _:
            return False


def _statement_faults(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.AugAssign() | ast.Delete():
            yield "pass"
        case ast.Break() | ast.Continue():
            yield "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
            yield "pass"
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield "return None"


def _operator_faults(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Compare(ops=operators):
            for index, operator in enumerate(operators):
                for other in _COMPARISONS[type(operator)]:
                    changed = copy.deepcopy(node)
                    changed.ops[index] = other()
                    yield changed
        case ast.BinOp(op=operator, left=left, right=right):
            if not any(isinstance(side, ast.JoinedStr) for side in (left, right)):
                yield ast.BinOp(left=left, op=_OPERATORS[type(operator)](), right=right)
        case ast.BoolOp(op=operator, values=values):
            yield ast.BoolOp(
                op=ast.Or() if isinstance(operator, ast.And) else ast.And(), values=values
            )
            for index in range(len(values)):
                rest = [*values[:index], *values[index + 1 :]]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op=operator, values=rest)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand


def _expression_faults(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in _NAMES:
            yield ast.Call(func=ast.Name(_NAMES[name]), args=node.args, keywords=node.keywords)
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in _CONVERSIONS:
            yield value
        case ast.Subscript(value=value, slice=ast.Constant(value=0)):
            yield ast.Subscript(value=value, slice=ast.Constant(-1))
        case ast.Constant(value=value):
            yield from map(ast.Constant, _other_constants(value))


def _other_constants(value: object) -> tuple[bool | int | float | str, ...]:
    match value:
        case bool():
            return (not value,)
        case int() | float():
            return tuple({value + 1, 2 * value} - {value})
        case str() if " " not in value:  # a text with spaces is a message
            return ("" if value else "mutant",)
        case _:
            return ()
