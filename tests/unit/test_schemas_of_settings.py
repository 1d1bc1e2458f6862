"""The JSON Schemas from which editors complete sources and tasks are those of the code, and accept what is declared."""

import importlib.util
import json

import jsonschema
import pytest
from ruamel.yaml import YAML

from salus.settings import conf_dir

DOCS = conf_dir().resolve().parent / "docs"


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("schemas", DOCS / "schemas.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_schemas_are_current(generator):
    for name, schema in generator.schemas().items():
        assert (DOCS / "schemas" / name).read_text(encoding="utf-8") == generator.written(schema), "run: make schemas"


@pytest.mark.parametrize("folder", ["sources", "tasks"])
def test_every_declared_file_fits_its_schema_and_a_misspelt_one_does_not(folder):
    schema = json.loads((DOCS / "schemas" / f"{folder[:-1]}.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    files = sorted((conf_dir() / folder).glob("*.yml"))
    assert files
    for path in files:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        assert [error.message for error in validator.iter_errors(content)] == []
        assert not validator.is_valid(content | {"misspelt": 1})
