"""Settings: what a person wrote wrong is named with its file, its line and its key."""

import re

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from salus.errors import Refused
from salus.settings import Settings, Strict, conf_dir, load_settings, load_yaml, validated


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """A folder of settings of its own: ``conf(text)`` writes its base.yml."""
    monkeypatch.setenv("SALUS_CONF", str(tmp_path))
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SALUS_{name.upper()}", raising=False)

    def write(text):
        (tmp_path / "base.yml").write_text(text, encoding="utf-8")
        return tmp_path / "base.yml"

    return write


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(conf, monkeypatch):
    conf("warehouse: of_the_file\nsite: of_the_file\nranks: 3\n")
    monkeypatch.setenv("SALUS_WAREHOUSE", "of_the_environment")
    monkeypatch.setenv("SALUS_SITE", "of_the_environment")
    settings = load_settings(warehouse="of_the_command_line", site=None)
    assert (settings.site, settings.ranks) == ("of_the_environment", 3)
    assert settings.warehouse.endswith("/of_the_command_line")


@pytest.mark.parametrize(
    ("named", "whole"),
    [
        ("warehouse", "HERE/warehouse"),
        ("../shared/", "ABOVE/shared"),
        ("/data/warehouse/", "/data/warehouse"),
        ("s3a://bucket/warehouse/", "s3a://bucket/warehouse/"),
        ("file:/data/warehouse", "file:/data/warehouse"),
    ],
)
def test_a_warehouse_is_a_url_or_a_whole_path(conf, tmp_path, monkeypatch, named, whole):
    conf("site: main\n")
    monkeypatch.chdir(tmp_path)
    there = whole.replace("HERE", str(tmp_path)).replace("ABOVE", str(tmp_path.parent))
    assert load_settings(warehouse=named).warehouse == there


def test_a_misspelt_key_is_named_with_its_line(conf):
    path = conf("# where\nwarehouse: w\n\nwarehuose: w\n")
    with pytest.raises(Refused, match=rf"^{re.escape(str(path))}:4: received `warehuose`: Extra inputs"):
        load_settings()


def test_a_misspelt_key_is_named_before_the_required_one_that_it_leaves_missing(tmp_path):
    class Declared(Strict):
        horizon_days: int

    path = tmp_path / "some.yml"
    path.write_text("# a task\nhorizon_day: 90\n", encoding="utf-8")
    with pytest.raises(Refused, match=rf"^{re.escape(str(path))}:2: received `horizon_day`: Extra inputs"):
        validated(Declared, load_yaml(path), path)


def test_a_wrong_value_within_a_mapping_is_named_with_its_line(conf):
    path = conf("warehouse: w\nspark:\n  spark.a: x\n  spark.b: [1, 2]\n")
    with pytest.raises(Refused, match=rf"^{re.escape(str(path))}:4: received `spark\.spark\.b`"):
        load_settings()


def test_a_wrong_value_from_the_environment_is_refused(conf, monkeypatch):
    conf("warehouse: w\n")
    monkeypatch.setenv("SALUS_RANKS", "none")
    with pytest.raises(Refused, match="Received SALUS_RANKS in the environment: "):
        load_settings()


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\nb: [1, 2\n", 3, "not YAML"),
        ("- a\n- b\n", 1, "no mapping"),
        ("", 1, "no mapping"),
        ("a: 1\na: 2\n", 2, "not YAML"),
    ],
)
def test_what_is_no_yaml_mapping_is_refused_with_its_line(tmp_path, text, line, what):
    path = tmp_path / "some.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Refused) as refused:
        load_yaml(path)
    assert str(refused.value).startswith(f"{path}:{line}: ")
    assert what in str(refused.value)


@pytest.mark.parametrize("path", sorted(conf_dir().rglob("*.yml")), ids=lambda path: path.stem)
def test_a_file_is_read_as_the_reader_reads_it_that_keeps_comments(path):
    compared(load_yaml(path), YAML(typ="rt").load(path))


def compared(node, expected):
    """Both hold the same, and each member in the same line."""
    if isinstance(expected, CommentedMap):
        assert [*node] == [*expected]
        assert [node.lc.key(key)[0] for key in node] == [expected.lc.key(key)[0] for key in expected]
        members = expected
    elif isinstance(expected, CommentedSeq):
        assert len(node) == len(expected)
        members = range(len(expected))
        assert [node.lc.item(place)[0] for place in members] == [expected.lc.item(place)[0] for place in members]
    else:
        assert node == expected
        return
    for member in members:
        compared(node[member], expected[member])


def test_a_file_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(Refused, match="expected a file"):
        load_yaml(tmp_path / "nowhere.yml")


def test_a_changed_file_is_read_anew_and_an_equal_one_is_named_itself(tmp_path):
    one, other = tmp_path / "one.yml", tmp_path / "other.yml"
    one.write_text("ranks: 1\n", encoding="utf-8")
    assert load_yaml(one) is load_yaml(one)
    one.write_text("ranks: 2\nnobody_knows: 1\n", encoding="utf-8")
    assert load_yaml(one)["ranks"] == 2
    other.write_text(one.read_text(encoding="utf-8"), encoding="utf-8")
    for path in (one, other):
        with pytest.raises(Refused, match=f"{path.name}:2:"):
            validated(Settings, load_yaml(path), path)


def test_the_message_counts_what_else_is_to_be_mended(tmp_path):
    path = tmp_path / "some.yml"
    path.write_text("ranks: 0\nnobody_knows: 1\n", encoding="utf-8")
    with pytest.raises(Refused, match="2 to mend in this file"):
        validated(Settings, load_yaml(path), path)


@pytest.mark.parametrize("warehouse", ["/some/warehouse", "/some/warehouse/"])
def test_the_key_lies_beside_the_warehouse_and_never_in_it(conf, warehouse):
    conf("{}\n")
    assert str(load_settings(warehouse=warehouse).key_path) == "/some/warehouse.key"
