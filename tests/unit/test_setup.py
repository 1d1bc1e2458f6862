"""What is imported is declared: an installed Salus brings what its core needs, and extras what formats need."""

import ast
import re
import runpy
import sys
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement

from salus.errors import EnvironmentFault
from salus.sources import formats

ROOT = Path(__file__).resolve().parents[2]
FORMATS = ROOT / "lib" / "salus" / "sources" / "formats"
JOBS = {path.stem for path in (ROOT / "jobs").glob("*.py")}
COMPILED = "horovod"
"""Against the TensorFlow that is there, so it is no requirement (setup.py)."""


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


known = cache(packages_distributions)
"""Which distributions bring a package: every file that is installed is looked at, once for all tests."""


def imported(paths):
    """The distributions that ``paths`` import, each as the names of which any one will do."""
    found = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for package in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - JOBS - {"salus"}:
                found[package] = {canonical(name) for name in known()[package]}
    return found


@pytest.fixture(scope="module")
def declared():
    """What setup.py requires, and its extras: canonical names to requirements."""
    with pytest.MonkeyPatch.context() as patch:
        kept = {}
        patch.setattr(setuptools, "setup", lambda **told: kept.update(told))
        runpy.run_path(str(ROOT / "setup.py"))

    def by_name(lines):
        return {canonical(each.name): each for each in map(Requirement, lines)}

    return by_name(kept["install_requires"]), {name: by_name(each) for name, each in kept["extras_require"].items()}


def test_what_the_core_imports_is_required(declared):
    core, extras = declared
    paths = [path for folder in ("lib", "jobs") for path in (ROOT / folder).rglob("*.py") if path.parent != FORMATS]
    used = imported(paths)
    assert len(used) > 20
    given = {*core, *extras["cpu"], COMPILED}
    assert {package: names for package, names in used.items() if not names & given} == {}


def test_what_only_a_format_imports_is_an_extra(declared):
    core, extras = declared
    given = {name for extra, each in extras.items() if extra not in ("cpu", "gpu") for name in each}
    used = {package: names for package, names in imported(FORMATS.glob("*.py")).items() if not names & {*core}}
    assert set().union(*used.values()) == given


def test_what_was_seen_to_work_is_within_what_is_required(declared):
    core, extras = declared
    for lines in (core, *(each for extra, each in extras.items() if extra != "gpu")):
        for name, requirement in lines.items():
            assert requirement.specifier.contains(version(name)), name


def test_a_format_whose_library_is_not_installed_says_which_extra_brings_it(declared, monkeypatch):
    core, extras = declared
    for name in formats.names():
        own = {package: names for package, names in imported([FORMATS / f"{name}.py"]).items() if not names & {*core}}
        if not own:
            continue
        [(package, names)] = own.items()
        [extra] = [extra for extra, brought in extras.items() if names & {*brought}]
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.delitem(sys.modules, f"{formats.__name__}.{name}", raising=False)
        with pytest.raises(EnvironmentFault, match=re.escape(f"'salus[{extra}]'")):
            formats.format_named(name)
    assert {*formats.EXTRAS.values()} == {*extras} - {"cpu", "gpu"}
