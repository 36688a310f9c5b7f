"""What the installed stripe wheel says about each route, read from its sources.

The wheel's service, parameter and resource modules are generated from Stripe's specification.
They are parsed, not imported: half of their annotations name things that exist for type checkers
alone, and parsing one file costs milliseconds where importing its neighbours costs seconds.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Scalar:
    """One of str, int, float, bool, decimal, any."""

    name: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A closed set of values, whatever `| str` the wheel adds to it."""

    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Many:
    item: "Shape"


@dataclass(frozen=True, slots=True)
class Mapping:
    item: "Shape"


@dataclass(frozen=True, slots=True)
class Page:
    """A list object: data, has_more, url."""

    item: "Shape"


@dataclass(frozen=True, slots=True)
class OneOf:
    options: tuple["Shape", ...]


@dataclass(frozen=True, slots=True)
class Field:
    shape: "Shape"
    required: bool


@dataclass(eq=False, repr=False)
class Record:
    """A TypedDict of parameters or a resource class, with its fields read on first use."""

    name: str
    module: "Module"
    node: ast.ClassDef

    @cached_property
    def fields(self) -> dict[str, Field]:
        found: dict[str, Field] = {}
        for statement in self.node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                key = statement.target.id
                if key != "OBJECT_NAME" and not key.startswith("_resource"):
                    found[key] = _field(statement.annotation, self)
        return found

    @cached_property
    def nested(self) -> dict[str, "Record"]:
        return {
            inner.name: Record(f"{self.name}.{inner.name}", self.module, inner)
            for inner in self.node.body
            if isinstance(inner, ast.ClassDef)
        }


Shape = Scalar | Choice | Many | Mapping | Page | OneOf | Record

ANY = Scalar("any")
_SCALARS = {name: Scalar(name.lower()) for name in ("str", "int", "float", "bool", "Decimal")}


@dataclass(eq=False, repr=False)
class Module:
    """One source file of the wheel: its classes, and where its imported names come from."""

    path: Path
    records: dict[str, Record] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)

    def find(self, name: str) -> Record | None:
        if name in self.records:
            return self.records[name]
        if name in self.imports:
            module, original = self.imports[name]
            return load(module).find(original)
        return None


@cache
def root() -> Path:
    spec = find_spec("stripe")
    if spec is None or spec.origin is None:
        raise RuntimeError("The stripe package is not installed.")
    return Path(spec.origin).parent


@cache
def api_version() -> str:
    """The API version that the installed wheel pins."""
    match = re.search(r'CURRENT = "([^"]+)"', (root() / "_api_version.py").read_text())
    if match is None:
        raise RuntimeError("The stripe package names no API version.")
    return match.group(1)


@cache
def load(dotted: str) -> Module:
    path = root().joinpath(*dotted.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    module = Module(path)
    statements = ast.parse(path.read_text()).body
    for node in statements:
        # `if TYPE_CHECKING:` holds the imports that only annotations use.
        for inner in node.body if isinstance(node, ast.If) else [node]:
            if isinstance(inner, ast.ImportFrom) and (inner.module or "").startswith("stripe"):
                for alias in inner.names:
                    module.imports[alias.asname or alias.name] = (str(inner.module), alias.name)
        if isinstance(node, ast.ClassDef):
            module.records[node.name] = Record(node.name, module, node)
    return module


def _field(annotation: ast.expr, owner: Record) -> Field:
    required = True
    if isinstance(annotation, ast.Subscript) and _name(annotation.value) in (
        "NotRequired",
        "Optional",
    ):
        required = False
        annotation = annotation.slice
    return Field(_shape(annotation, owner), required)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _shape(node: ast.expr, owner: Record) -> Shape:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _shape(ast.parse(node.value, mode="eval").body, owner)
    if isinstance(node, ast.BinOp):
        return _union([_shape(node.left, owner), _shape(node.right, owner)])
    if isinstance(node, ast.Subscript):
        return _generic(_name(node.value), node.slice, owner)
    name = _name(node)
    if name in _SCALARS:
        return _SCALARS[name]
    return owner.nested.get(name) or owner.module.find(name) or ANY


def _arguments(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


def _generic(name: str, inner: ast.expr, owner: Record) -> Shape:
    if name == "Literal":
        values = [argument for argument in _arguments(inner) if isinstance(argument, ast.Constant)]
        return Choice(tuple(argument.value for argument in values))
    shapes = [_shape(argument, owner) for argument in _arguments(inner)]
    match name:
        case "List":
            return Many(shapes[0])
        case "Dict" | "UntypedStripeObject":
            return Mapping(shapes[-1])
        case "ListObject" | "SearchResultObject":
            return Page(shapes[0])
        case "ExpandableField":
            return _union([_SCALARS["str"], *shapes])
        case "Union":
            return _union(shapes)
        case _:
            return shapes[0]


def _union(shapes: list[Shape]) -> Shape:
    """Flatten, merge literals, and drop the `str` that only keeps the wheel's enums open."""
    flat: list[Shape] = []
    for shape in shapes:
        flat.extend(shape.options if isinstance(shape, OneOf) else [shape])
    values = [value for shape in flat if isinstance(shape, Choice) for value in shape.values]
    others = [shape for shape in flat if not isinstance(shape, Choice)]
    if any(value != "" for value in values):
        others = [shape for shape in others if shape != _SCALARS["str"]]
    merged: list[Shape] = [*([Choice(tuple(values))] if values else []), *others]
    unique = list(dict.fromkeys(merged))
    return unique[0] if len(unique) == 1 else OneOf(tuple(unique))


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path of the v1 API with what may be sent and what comes back."""

    method: str
    path: str
    params: Record | None
    params_required: bool
    returns: Shape

    @property
    def pattern(self) -> re.Pattern[str]:
        return _pattern(self.path)


@cache
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("^" + re.sub(r"\{\w+\}", "[^/]+", path) + "$")


@cache
def _service_sources() -> tuple[tuple[Path, str], ...]:
    return tuple(
        (path, path.read_text())
        for path in sorted(root().rglob("_*_service.py"))
        if "/v2/" not in path.as_posix()
    )


def _dotted(path: Path) -> str:
    return ".".join(["stripe", *path.relative_to(root()).with_suffix("").parts])


@cache
def _routes_in(path: Path) -> tuple[Route, ...]:
    module = load(_dotted(path))
    return tuple(
        route
        for record in module.records.values()
        for node in record.node.body
        if isinstance(node, ast.FunctionDef)
        for route in _routes_of(node, record)
    )


def _routes_of(function: ast.FunctionDef, owner: Record) -> Iterator[Route]:
    for call in ast.walk(function):
        if not (isinstance(call, ast.Call) and _name(call.func) == "_request" and call.args):
            continue
        method, path = call.args[0], _template(call.args[1])
        if isinstance(method, ast.Constant) and path and function.returns is not None:
            params, required = _params_of(function, owner)
            returns = _shape(function.returns, owner)
            yield Route(str(method.value).upper(), path, params, required, returns)


def _template(node: ast.expr) -> str:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        node = node.func.value
    return str(node.value) if isinstance(node, ast.Constant) else ""


def _params_of(function: ast.FunctionDef, owner: Record) -> tuple[Record | None, bool]:
    for argument in [*function.args.posonlyargs, *function.args.args]:
        if argument.arg == "params" and argument.annotation is not None:
            found = _field(argument.annotation, owner)
            return (found.shape if isinstance(found.shape, Record) else None), found.required
    return None, False


@cache
def _routes_under(stem: str) -> tuple[Route, ...]:
    return tuple(
        route
        for path, text in _service_sources()
        if f'"{stem}' in text
        for route in _routes_in(path)
    )


def routes() -> list[Route]:
    """Every v1 route the wheel knows; reading all of them takes about two seconds."""
    return list(_routes_under("/v1/"))


@cache
def find_route(method: str, path: str) -> Route | None:
    """The wheel's route for a real path or a template such as `/v1/refunds/{refund}`."""
    stem = "/".join(path.split("/")[:3])
    candidates = [
        route
        for route in _routes_under(stem)
        if route.method == method.upper() and route.pattern.match(path)
    ]
    # A literal segment beats a placeholder: /v1/charges/search is no charge's id.
    return min(candidates, key=lambda route: route.path.count("{"), default=None)


@cache
def _resource_files() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(root().rglob("_*.py")):
        parts = path.relative_to(root()).parts
        if "params" in parts or "v2" in parts or path.name.endswith("_service.py"):
            continue
        match = re.search(r'OBJECT_NAME: ClassVar\[Literal\["([^"]+)"\]\]', path.read_text())
        if match:
            found[match.group(1)] = path
    return found


@cache
def find_resource(kind: str) -> Record | None:
    """The resource class whose `object` property has this value."""
    path = _resource_files().get(kind)
    if path is None:
        return None
    records = load(_dotted(path)).records
    return next(iter(records.values()))
