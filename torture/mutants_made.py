"""Small changes to a module, each a mistake that somebody could make and a test should notice."""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

SHOWN = 70  # characters of the code around a changed number or string that name it
OPERATORS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt,), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt,),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.And: (ast.Or,), ast.Or: (ast.And,),
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mod,), ast.Mod: (ast.FloorDiv,), ast.Pow: (ast.Mult,),
    ast.LShift: (ast.RShift,), ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,), ast.BitXor: (ast.BitAnd,),
}  # fmt: skip
GENERICS = {"list", "dict", "set", "frozenset", "tuple", "Counter", "deque", "defaultdict", "Callable"}
SYMMETRIC = {"min", "max", "isinstance", "cast"}  # the order of two arguments makes no difference, or no sense
TOLD = {"warn", "needs", "print", "write"}  # calls whose text is for people
LEFT_ALONE = {"annotation", "returns", "decorator_list", "format_spec", "bases", "targets", "target", "ctx"}
Place: TypeAlias = tuple[ast.AST, str, int | None]  # a node's parent, field, and index in that field


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change, within `function`, which `outer` is or holds; `outer` is empty for what runs at import."""

    path: str
    function: str
    outer: str
    line: int
    kind: str
    change: str
    source: str

    @property
    def name(self) -> str:
        """What it is called wherever it has moved to in its file."""
        return f"{self.path} {self.function}: {self.change}"

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.change}"


@dataclass(frozen=True, slots=True)
class _Site:
    """A node that may be replaced, and all that can stand in its place."""

    place: Place
    names: tuple[str, ...]
    outer: str
    statement: ast.stmt
    shown: ast.AST


def mutants_of(path: str, source: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its code; their sources have lost comments and layout.

    Not changed are annotations, decorators, docstrings, assertions (also zip's `strict`), `__all__`, and texts for
    people: whatever an exception or a warning is made of.

    >>> [mutant.change for mutant in mutants_of("x.py", "def f(n):\\n    return n < 0\\n")]
    ['n < 0 -> n < 1', 'n < 0 -> n < -1', 'n < 0 -> n <= 0', 'n < 0 -> n > 0', 'return n < 0 -> return None']
    """
    tree, made, times = ast.parse(source), list[Mutant](), Counter[str]()
    for site in _sites(tree, (), "", None):
        node, function = _get(site.place), ".".join(site.names)
        for kind, new in replacements(node):
            before = _text(site.shown)
            _set(site.place, new)
            after, text = _text(new if site.shown is node else site.shown), ast.unparse(tree)
            _set(site.place, node)
            change = f"{before} -> {after}"
            times[key := f"{function} {change}"] += 1
            nth = f" #{times[key]}" if times[key] > 1 else ""
            made.append(Mutant(path, function, site.outer, site.statement.lineno, kind, change + nth, text))
    return sorted(made, key=lambda mutant: mutant.line)


def _text(node: ast.AST) -> str:
    """A node on one line; of a branch or a loop its condition alone."""
    code = " ".join(ast.unparse(node.test if isinstance(node, ast.If | ast.While) else node).split())
    return code if len(code) <= 2 * SHOWN else f"{code[: 2 * SHOWN]}..."


def _get(place: Place) -> ast.AST:
    parent, name, index = place
    found: Any = getattr(parent, name)
    return found if index is None else found[index]


def _set(place: Place, node: ast.AST) -> None:
    parent, name, index = place
    if index is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[index] = node


def _sites(node: ast.AST, names: tuple[str, ...], outer: str, statement: ast.stmt | None) -> Iterator[_Site]:
    """The nodes below one that may change, outermost last."""
    for name, value in ast.iter_fields(node):
        many = isinstance(value, list)
        children: list[Any] = value if many else [value]
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST) or _is_left_alone(node, name, child, index):
                continue
            within = child if isinstance(child, ast.stmt) else statement
            inner = (*names, child.name) if isinstance(child, ast.FunctionDef | ast.ClassDef) else names
            held = outer or (".".join(names) if isinstance(node, ast.FunctionDef) and name == "body" else "")
            yield from _sites(child, inner, held, within)
            if within is not None:
                place = (node, name, index if many else None)
                yield _Site(place, names, held, within, _shown(child, node))


def _shown(node: ast.AST, parent: ast.AST) -> ast.AST:
    """A number or string is shown with what surrounds it, if that is short."""
    near = isinstance(node, ast.Constant) and isinstance(
        parent, ast.expr | ast.keyword | ast.Assign | ast.AugAssign | ast.Return
    )
    return parent if near and len(ast.unparse(parent)) <= SHOWN else node


def _is_left_alone(parent: ast.AST, field: str, child: ast.AST, index: int) -> bool:
    match parent, child:
        case ast.Raise(), _:
            alone = True
        case _, ast.Assert() | ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            alone = True
        case _, ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            alone = True
        case _, ast.Assign(targets=[ast.Name(id="__all__")]):
            alone = True
        case ast.Subscript(value=ast.Name(id=name)), _:
            alone = field == "slice" and name in GENERICS
        case ast.Call(), _ if field in {"args", "keywords"}:
            alone = _is_said(parent, child, index)
        case ast.keyword(arg="description" | "help" | "purpose"), _:
            alone = True
        case _:
            alone = field in LEFT_ALONE
    return alone


def _is_said(call: ast.Call, argument: ast.AST, index: int) -> bool:
    """Whether an argument is a text for people, a type, or an assertion."""
    called = _called(call)
    strict = called == "zip" and isinstance(argument, ast.keyword)
    return strict or called in TOLD or called.endswith(("Error", "Warning")) or (called == "cast" and not index)


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", "") or getattr(call.func, "id", "")


def replacements(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What could stand in a node's place, each with the kind of the mistake."""
    match node:
        case ast.Compare():
            for i, operator in enumerate(node.ops):
                for other in OPERATORS[type(operator)]:
                    yield "comparison", _with(node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]])
        case ast.BinOp() | ast.BoolOp():
            kind = "arithmetic" if isinstance(node, ast.BinOp) else "and, or"
            yield from ((kind, _with(node, op=other())) for other in OPERATORS.get(type(node.op), ()))
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield "not, minus", node.operand
        case ast.Constant():
            yield from (("constant", ast.Constant(value)) for value in _other_values(node.value))
        case ast.IfExp() | ast.comprehension() | ast.If() | ast.While():
            yield from _negated(node)
        case ast.Call(args=[first, second, *rest]) if not (_called(node) in SYMMETRIC or _are_alike(first, second)):
            yield "arguments", _with(node, args=[second, first, *rest])
        case _:
            yield from _other_statements(node)


def _are_alike(first: ast.expr, second: ast.expr) -> bool:
    return isinstance(first, ast.Starred) or ast.dump(first) == ast.dump(second)


def _other_statements(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "return", ast.Return(ast.Constant(None))
        case ast.Break():
            yield "break, continue", ast.Continue()
        case ast.Continue():
            yield "break, continue", ast.Break()
        case ast.AugAssign():
            for other in OPERATORS.get(type(node.op), ()):
                yield "arithmetic", _with(node, op=other())
            yield "dropped", ast.Pass()
        case ast.Expr() | ast.Raise() | ast.Delete() | ast.Return(value=None):
            yield "dropped", ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "dropped", ast.Pass()
        case _:
            pass


def _negated(node: ast.If | ast.While | ast.IfExp | ast.comprehension) -> Iterator[tuple[str, ast.AST]]:
    """Conditions that no change of an operator turns round."""
    if isinstance(node, ast.comprehension):
        for i, test in enumerate(node.ifs):
            if not isinstance(test, ast.Compare | ast.UnaryOp | ast.Constant):
                yield "condition", _with(node, ifs=[*node.ifs[:i], ast.UnaryOp(ast.Not(), test), *node.ifs[i + 1 :]])
    elif not isinstance(node.test, ast.Compare | ast.UnaryOp | ast.Constant):
        yield "condition", _with(node, test=ast.UnaryOp(ast.Not(), node.test))


def _other_values(value: object) -> list[Any]:
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, value - 1]
        case float():
            return [value + 1]
        case str():
            return [value + "x"]  # "utf-8~" would still be a codec's name
        case bytes():
            return [value + b"x"]
        case _:
            return []


def _with(node: ast.AST, **fields: Any) -> ast.AST:
    """A copy of a node, not of what lies below it, with other fields."""
    other = type(node)(**{**dict(ast.iter_fields(node)), **fields})
    return ast.copy_location(other, node)
