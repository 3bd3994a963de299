"""The rules of the source tree, read from its syntax trees: layers, imports, docstrings, sizes."""

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "deepedge_flwr"

# layer of deepedge_flwr -> (layers it may import, third-party packages it may import);
# the layer "" is deepedge_flwr/__init__.py.
LAYERS: dict[str, tuple[set[str], set[str]]] = {
    "core": ({"core"}, {"numpy"}),
    "layout": ({"core", "layout"}, {"numpy", "flwr"}),
    "records": ({"core", "records"}, {"numpy", "flwr"}),
    "strategy": (
        {"core", "layout", "records", "strategy"},
        {"numpy", "flwr", "prometheus_client", "dp_accounting"},
    ),
    "client": (
        {"core", "records", "client"},
        {"numpy", "flwr", "psutil", "threadpoolctl", "prometheus_client"},
    ),
    "simulation": ({"core", "layout", "records", "simulation"}, {"numpy", "flwr"}),
    "": ({"", "core", "layout", "records", "strategy", "client", "simulation"}, set()),
}
# standard module -> (packages where it is reserved, modules that may import it all the same)
RESERVED: dict[str, tuple[set[str], set[str]]] = {
    "time": (
        {PACKAGE, "simulations"},
        {
            "deepedge_flwr.core.clock",
            # Programs of their own, in which nothing else of ours runs.
            "deepedge_flwr.client.between_ticks",
            "deepedge_flwr.client.probes.sampler",
            "simulations.colocation.service",
            "simulations.colocation.trainer",
        },
    ),
    "random": ({PACKAGE}, set()),
    "threading": (
        {PACKAGE},
        {
            "deepedge_flwr.strategy.checkpoint_writer",
            "deepedge_flwr.strategy.stop",
            "deepedge_flwr.client.isolation",
        },
    ),
    "pickle": ({PACKAGE}, {"deepedge_flwr.simulation.trace_file"}),
}
MAX_MODULE_LINES = 250
MAX_FUNCTION_LINES = 40

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A source file: `name` is dotted, `is_package` is true of an ``__init__.py``."""

    name: str
    is_package: bool
    source: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def package(self) -> str:
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @property
    def root(self) -> str:
        return self.name.partition(".")[0]


def read_modules(root: Path) -> Iterator[Module]:
    for path in sorted([*root.glob(f"{PACKAGE}/**/*.py"), *root.glob("simulations/**/*.py")]):
        parts = path.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        yield Module(name=name, is_package=is_package, source=path.read_text(encoding="utf-8"))


def layer_of(name: str) -> str:
    return [*name.split("."), ""][1]


def imported_names(module: Module) -> Iterator[str]:
    """Yield absolute names; ``from a import b`` yields ``a.b``, as b may be a module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            base = resolve_name(relative, module.package)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def layer_violations(module: Module) -> Iterator[str]:
    if module.root != PACKAGE:
        return
    layer = layer_of(module.name)
    if layer not in LAYERS:
        yield f"{module.name} is in no layer: add {layer!r} to LAYERS"
        return
    allowed_layers, allowed_packages = LAYERS[layer]
    for name in imported_names(module):
        root = name.partition(".")[0]
        allowed = (
            layer_of(name) in allowed_layers
            if root == PACKAGE
            else root in allowed_packages or root in sys.stdlib_module_names
        )
        if not allowed:
            yield f"{module.name} may not import {name}"


def reserved_violations(module: Module) -> Iterator[str]:
    for name in imported_names(module):
        packages, modules = RESERVED.get(name.partition(".")[0], (set(), set()))
        if module.root in packages and module.name not in modules:
            yield f"{module.name} may not import {name}: it is reserved"


def documented_nodes(parent: ast.Module | ast.ClassDef) -> Iterator[ast.ClassDef | Function]:
    """Yield public classes, functions and methods, without overloads and property setters."""
    for node in parent.body:
        if not isinstance(node, ast.ClassDef | Function) or node.name.startswith("_"):
            continue
        decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
        if not decorators & {"overload", "typing.overload", f"{node.name}.setter"}:
            yield node
        if isinstance(node, ast.ClassDef):
            yield from documented_nodes(node)


def docstring_violations(module: Module) -> Iterator[str]:
    if not ast.get_docstring(module.tree):
        yield f"{module.name} has no docstring"
    if module.root == PACKAGE:
        for node in documented_nodes(module.tree):
            if not ast.get_docstring(node):
                yield f"{module.name}:{node.lineno} {node.name} has no docstring"


def body_lines(function: Function) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def size_violations(module: Module) -> Iterator[str]:
    lines = len(module.source.splitlines())
    if lines > MAX_MODULE_LINES:
        yield f"{module.name} has {lines} lines, at most {MAX_MODULE_LINES}"
    for node in ast.walk(module.tree):
        if isinstance(node, Function) and (lines := body_lines(node)) > MAX_FUNCTION_LINES:
            yield (
                f"{module.name}:{node.lineno} {node.name} has {lines} lines, "
                f"at most {MAX_FUNCTION_LINES}"
            )


RULES = [layer_violations, reserved_violations, docstring_violations, size_violations]
MODULES = list(read_modules(ROOT))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_tree_keeps_the_rule(rule: Callable[[Module], Iterator[str]]) -> None:
    violations = [violation for module in MODULES for violation in rule(module)]
    assert not violations, "\n".join(violations)


def test_every_layer_is_read() -> None:
    assert {layer_of(module.name) for module in MODULES if module.root == PACKAGE} == set(LAYERS)
    assert "simulations.overrides" in {module.name for module in MODULES}


def violations_of(name: str, source: str, *, is_package: bool = False) -> list[str]:
    module = Module(name=name, is_package=is_package, source=source)
    return [violation for rule in RULES for violation in rule(module)]


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("core.a", "import flwr"),
        ("core.a", "from deepedge_flwr import records"),
        ("core.a", "import deepedge_flwr"),
        ("core.a", "from .. import records"),
        ("core.a", "from ..records import to_record"),
        ("core.a", "def _f():\n    from ..strategy import x"),
        ("records", "from .client import a"),
        ("records", "from . import strategy"),
        ("records", "import psutil"),
        ("strategy.a", "from ..client.b import c"),
        ("client.a", "import deepedge_flwr.simulation.b"),
        ("client.a", "import torch"),
        ("simulation.a", "from simulations import demo"),
        ("simulation.a", "import matplotlib.pyplot as plt"),
        ("strategy.a", "import time"),
        ("core.clocks", "from time import monotonic"),
        ("client.a", "import threading"),
        ("client.a", "import random"),
        ("records", "from pickle import loads"),
        ("new_layer", "x = 1"),
        ("core.a", "def f(): ..."),
        ("core.a", "class A: ..."),
        ("core.a", "class A:\n    '''A.'''\n    async def f(self): ..."),
        ("core.a", "def _f():\n" + "    x = 1\n" * 41),
        ("core.a", "class _A:\n  def _f(self):\n" + "    x = 1\n" * 41),
        ("core.a", "x = 1\n" * 250),
    ],
)
def test_a_broken_rule_is_found(name: str, statement: str) -> None:
    assert len(violations_of(f"{PACKAGE}.{name}", f"'''Doc.'''\n{statement}")) == 1


def test_a_module_without_a_docstring_is_found() -> None:
    assert violations_of("simulations.a", "x = 1") == ["simulations.a has no docstring"]
    assert violations_of("deepedge_flwr.core.a", "") == ["deepedge_flwr.core.a has no docstring"]


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("core.a", "import math\nimport numpy as np\nfrom . import b\nfrom .b import c"),
        ("core.clock", "import time"),
        ("records", "from .core.types import A\nfrom flwr.common import B"),
        (
            "strategy.a",
            "from ..core import A\nfrom deepedge_flwr.records import b\nfrom .c import d",
        ),
        ("client.a", "import psutil"),
        ("core.a", "def f():\n    '''F.'''\n" + "    x = 1\n" * 40),
        ("core.a", "def _f(): ...\nclass _A:\n    def f(self): ..."),
        ("core.a", "x = 1\n" * 249),
    ],
)
def test_what_the_rules_allow_passes(name: str, statement: str) -> None:
    assert not violations_of(f"{PACKAGE}.{name}", f"'''Doc.'''\n{statement}")


def test_relative_imports_of_a_package_resolve_from_the_package_itself() -> None:
    source = "'''Doc'''\nfrom .client import x\n"
    assert not violations_of(PACKAGE, source, is_package=True)
    assert not violations_of(f"{PACKAGE}.core", source, is_package=True)  # core/client.py
    from_parent = source.replace(".client", "..client")
    assert violations_of(f"{PACKAGE}.core", from_parent, is_package=True) == [
        "deepedge_flwr.core may not import deepedge_flwr.client.x"
    ]


def test_simulations_may_import_everything_but_the_clock() -> None:
    source = "'''Doc.'''\nimport torch\nfrom deepedge_flwr.strategy import a\n"
    assert not violations_of("simulations.a", source)
    assert len(violations_of("simulations.a", source + "import time\n")) == 1
