"""The rooms of the package: who may import whom, and how large modules, folders and signatures may be."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
CONTROLLER, NODE = "batchtwin", "batchtwin_node"
# A room imports from its own floor and from those below it. What is not named here is at the bottom.
FLOORS = [
    {"deployment", "environments", "inputs"},
    {"engine"},
    {"workspace"},
    {"azure"},
    {"api"},
    {"cli", "doctor", "pytest_plugin", "scaffold", "watch"},
]
# What the controller needs to know of the node.
OPEN_TO_CONTROLLER = {"protocol", "machine", "codec", "lines", "bootstrap", "errors", "failpoints", "script", "readers"}
OPEN_TO_CONTROLLER |= {"warm"}
LINES, MODULES, PARAMETERS = 300, 15, 8

# Exceptions. These lists only get shorter: remove what is no longer needed, add nothing.
REACHES_UP: set[tuple[str, str]] = set()
NODE_IMPORTS_CONTROLLER: set[tuple[str, str]] = set()
CONTROLLER_IMPORTS_NODE: set[tuple[str, str]] = {
    ("batchtwin.inputs.fetch", "batchtwin_node.children"),
}
LONG: set[str] = set()
FULL: set[str] = set()
# What a YAML file and the body of a request both have, by the service's own names.
SAME_ON_THE_WIRE = {"CodeConfiguration", "Defaults", "RetrySettings"}
# Commands of Typer list their options as parameters.
WIDE: set[str] = {
    "batchtwin.cli.deployments.plan",
    "batchtwin.cli.jobs.resume",
    "batchtwin.cli.jobs.score",
    "batchtwin.azure.cli.assets.create_data",
    "batchtwin.azure.cli.assets.create_environment",
    "batchtwin.azure.cli.assets.create_model",
    "batchtwin.azure.cli.computes.create",
    "batchtwin.azure.cli.endpoints.invoke",
}


def modules() -> Iterator[tuple[str, Path]]:
    for package in (CONTROLLER, NODE):
        for path in sorted((SRC / package).rglob("*.py")):
            yield ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"), path


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """The modules that a module imports, at its top or inside of functions, by their full names."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            folder = SRC / node.module.replace(".", "/")
            for alias in node.names:
                is_module = (folder / f"{alias.name}.py").exists() or (folder / alias.name).is_dir()
                yield f"{node.module}.{alias.name}" if is_module else node.module


def pairs() -> Iterator[tuple[str, str]]:
    for name, path in modules():
        yield from ((name, imported) for imported in imports(path))


def package(name: str) -> str:
    return name.partition(".")[0]


def room(name: str) -> str:
    return [*name.split("."), ""][1]


def floor(name: str) -> int:
    return next((number for number, rooms in enumerate(FLOORS) if room(name) in rooms), -1)


def test_a_room_imports_from_its_own_floor_and_below() -> None:
    upward = {
        (room(name), room(imported))
        for name, imported in pairs()
        # The package itself is the front door: it gives what `api` has.
        if package(name) == package(imported) == CONTROLLER and floor(imported) > floor(name) and name != CONTROLLER
    }
    assert upward <= REACHES_UP


def test_the_node_imports_nothing_of_the_controller() -> None:
    known = {
        (name, imported) for name, imported in pairs() if package(name) == NODE and package(imported) == CONTROLLER
    }
    assert known <= NODE_IMPORTS_CONTROLLER


def test_the_controller_imports_only_the_open_parts_of_the_node() -> None:
    hidden = {
        (name, imported)
        for name, imported in pairs()
        if package(name) == CONTROLLER and package(imported) == NODE and room(imported) not in OPEN_TO_CONTROLLER
    }
    assert hidden <= CONTROLLER_IMPORTS_NODE


def test_modules_are_read_in_one_sitting() -> None:
    assert {name for name, path in modules() if len(path.read_text().splitlines()) > LINES} <= LONG


def test_folders_are_seen_at_a_glance() -> None:
    folders = {path.parent for _, path in modules()}
    full = {str(folder.relative_to(SRC)) for folder in folders if len(list(folder.glob("*.py"))) > MODULES}
    assert full <= FULL


def test_a_class_has_a_name_of_its_own() -> None:
    classes = Counter(node.name for _, path in modules() for node in tree(path).body if isinstance(node, ast.ClassDef))
    assert {name for name, count in classes.items() if count > 1 and not name.startswith("_")} <= SAME_ON_THE_WIRE


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for name, path in modules():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name}.{node.name}", node


def is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A command lists its options as parameters, for Typer reads them there."""
    inner = [part for decorator in node.decorator_list for part in ast.walk(decorator)]
    return any(isinstance(part, ast.Attribute) and part.attr == "command" for part in inner)


def test_functions_take_few_parameters() -> None:
    wide = set()
    for name, node in functions():
        arguments = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        if len([argument for argument in arguments if argument not in {"self", "cls"}]) > PARAMETERS:
            wide |= set() if is_command(node) else {name}
    assert wide <= WIDE


@pytest.mark.parametrize(
    "name", ["atomic", "extras", "interrupts", "locks", "redaction", "safe_open", "subprocesses", "typer_types"]
)
def test_what_every_room_may_use_imports_no_room(name: str) -> None:
    assert {
        floor(imported) for imported in imports(SRC / CONTROLLER / f"{name}.py") if package(imported) == CONTROLLER
    } <= {-1}


# Each of these has one owner; another module that uses it derives a fact a second time.
OWNED = {
    "fcntl": {"batchtwin.locks"},
    "flock": {"batchtwin.locks"},
    "cpu_count": {"batchtwin_node.machine"},
}


@pytest.mark.parametrize("word", OWNED)
def test_a_fact_has_one_owner(word: str) -> None:
    users = set()
    for name, path in modules():
        names = {node.attr for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
        if word in names or word in imports(path):
            users.add(name)
    assert users == OWNED[word]


# Texts that only their owner spells; others import the owner's constant, or call its function.
SPELLED = {
    r"named-outputs/score": {"batchtwin.predictions"},
    r"^(job\.sqlite|manifest\.json|failures\.jsonl|report\.html|azureml-models|named-inputs)$": {
        "batchtwin.engine.output.folder"
    },
    r"\b(in|see) (manifest\.json|failures\.jsonl)": set(),
    # The node may not import the controller.
    r"^(scratch|segments)(/|$)|^logs/(user|sys)": {"batchtwin.engine.output.folder", "batchtwin_node.launcher"},
    # A pattern of references; a JSON schema repeats the prefix for editors.
    r"azureml:.*\(\?P|\(\?i:azureml|^\^azureml:|^azureml:$": {
        "batchtwin.deployment.reference",
        "batchtwin.deployment.json_schema",
    },
}


def texts(path: Path) -> Iterator[str]:
    """The texts of a module but for its docstrings."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


@pytest.mark.parametrize("pattern", SPELLED)
def test_a_text_is_spelled_by_its_owner(pattern: str) -> None:
    users = {name for name, path in modules() if any(re.search(pattern, text) for text in texts(path))}
    assert users == SPELLED[pattern]


# Who asks whether a text is a URL: those who take it from a person. Others ask the request or the inputs.
DOORS = {
    "batchtwin.api.data",
    "batchtwin.deployment.model",
    "batchtwin.doctor.deployment",
    "batchtwin.engine.backends.fetching",
    "batchtwin.engine.backends.ray.sync",
    "batchtwin.engine.new_job",
    "batchtwin.engine.prepare",
    "batchtwin.engine.preview",
    "batchtwin.engine.resume",
    "batchtwin.inputs.listing",
    "batchtwin.scaffold.project",
    "batchtwin.watch.files",
}


def test_whether_it_is_a_url_is_asked_at_the_door() -> None:
    users = {
        name
        for name, path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and any(alias.name == "is_url" for alias in node.names)
    }
    assert users == DOORS


def test_no_default_is_read_of_a_class_of_value_objects() -> None:
    """Slots hide it: what is read there is no value, and mypy does not see that."""
    fields: dict[str, set[str]] = {}
    for _, path in modules():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and "value_object" in map(ast.unparse, node.decorator_list):
                assigned = [part.target for part in node.body if isinstance(part, ast.AnnAssign)]
                fields[node.name] = {name.id for name in assigned if isinstance(name, ast.Name) and name.id.islower()}
    assert len(fields) > 100
    read = [
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for _, path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in fields.get(ast.unparse(node.value).rpartition(".")[2], ())
    ]
    assert read == []
