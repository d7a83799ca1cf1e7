"""Imports run one way; only app knows Hydra; every yaml has its twin."""

import ast
import inspect
from pathlib import Path

import pytest

from hybrid_seq_gnn.run.check import parts_of, settings_of, target_class
from tests.conftest import composed, options

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "hybrid_seq_gnn"
LEVELS = [
    {"allocator", "bars", "errors", "files", "limits", "output"},
    {"data"},
    {"graph"},
    {"interfaces"},
    {"model", "gnn", "fusion", "negatives", "loss"},
    {"evaluation"},
    {"training"},
    {"logger"},
    {"run"},
    {"results"},
    {"study"},
    {"use"},
    {"compare", "export"},
    {"leaderboard"},
    {"report", "recommend", "evaluate"},
    {"api"},
    {"app"},
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
PROVIDED = {
    "num_items",
    "gnn",
    "fusion",
    "adjacency",
    "negatives",
    "sequences",
    "split",
    "embedding_dim",
    "folder",
    "settings",
    "name",
}
NO_CLASSES = ("hydra", "criteria", "experiment")  # these make no object
GROUPS = sorted(p.name for p in (ROOT / "conf").iterdir() if p.is_dir() and p.name not in NO_CLASSES)
OTHER_MODULE = {  # than the name of the option
    **dict.fromkeys(("ml-100k", "ml-1m", "ml-20m"), "movielens"),
    "sequences": "sequences_file",
    "default": "settings",
}
OPTIONS = [(group, name) for group in GROUPS for name in options(group)]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_imports_run_one_way_and_siblings_never_meet():
    for path in set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py", PACKAGE / "__main__.py"}:
        here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for module in imports(path):
            if module.startswith("hybrid_seq_gnn."):
                there = module.split(".")[1]
                near = there == here or LEVEL[there] == LEVEL[here] == 0
                assert near or LEVEL[there] < LEVEL[here], f"{path.name} of {here} imports {module}"


def test_only_app_knows_hydra():
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] != "app":
            assert not [m for m in imports(path) if m.split(".")[0] in ("hydra", "omegaconf")], path


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_a_yaml_has_the_name_the_settings_and_the_defaults_of_its_class(group, name):
    node = composed(group, name)
    assert_twins(node)
    assert node["_target_"].split(".")[1:3] == [group, OTHER_MODULE.get(name, name)]


def assert_twins(node):
    cls = target_class("conf", node)
    defaults = {name: p.default for name, p in settings_of(cls).items()}
    for key, value in node.items():
        if key == "_target_":
            continue
        assert key in defaults, f"{cls.__name__} has no setting {key}"
        if isinstance(value, dict):
            assert_twins(value)
        else:
            expected = list(defaults[key]) if isinstance(defaults[key], tuple) else defaults[key]
            assert value == expected and type(value) is type(expected), key
    assert set(node) - {"_target_"} == set(defaults), f"{cls.__name__}: yaml and constructor differ"
    assert set(parts_of(cls)) <= PROVIDED, f"{cls.__name__} needs what nobody gives"


def test_every_public_class_and_function_is_documented():
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), path
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                assert inspect.cleandoc(ast.get_docstring(node) or ""), f"{path}: {node.name}"


def test_files_are_short_and_functions_fit_on_a_screen():
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        text = path.read_text()
        assert text.count("\n") <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                docstring = node.body[0].end_lineno - node.body[0].lineno + 1 if ast.get_docstring(node) else 0
                lines = node.end_lineno - node.lineno + 1 - docstring
                assert lines <= (100 if node.name == "train" else 60), f"{path}: {node.name}"
