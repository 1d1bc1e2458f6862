"""A Bundle is read as a stream: its entries, in their order, as they are written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.sources import bundles
from salus.sources.bundles import NotABundle, entries

names = st.sampled_from(["", "a", "é", '"', "\\", "\n", "𝒳", "{", "]", "entry", "resource"])
plain = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | names
values = plain | st.lists(plain | st.dictionaries(names, plain, max_size=2), max_size=3)
resource = st.dictionaries(names, values | st.dictionaries(names, values, max_size=2), max_size=3).map(
    lambda fields: fields | {"resourceType": "A"}
)


def chunked(content: bytes, size: int):
    return iter([content[start : start + size] for start in range(0, len(content), size)])


def bundle(*resources, **members) -> dict:
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": one} for one in resources],
        **members,
    }


@given(st.lists(resource, max_size=4), st.integers(1, 40), st.sampled_from([None, 2]), st.booleans())
def test_entries_are_those_of_the_whole_document_whatever_the_chunks(resources, size, indent, is_ascii):
    content = json.dumps(bundle(*resources, total=3), indent=indent, ensure_ascii=is_ascii).encode()
    found = list(entries(chunked(content, size)))
    assert [json.loads(entry.resource) for entry in found] == resources
    assert {(entry.kind, entry.broken) for entry in found} <= {("A", None)}


def test_a_resource_keeps_the_way_in_which_it_is_written():
    written = '{ "resourceType" : "Observation", "value": 1.50, "large": 1234567890123456789012345 }'
    (entry,) = entries([f'\ufeff{{"entry":[{{"resource":{written}}}],"resourceType":"Bundle"}}'.encode()])
    assert entry.resource.decode() == written


def test_an_entry_without_a_resource_is_broken_and_a_large_one_is_not_held(monkeypatch):
    monkeypatch.setattr(bundles, "LARGEST_RECORD", 200)
    content = bundle({"resourceType": "A"}, {"resourceType": "B", "text": "x" * 300}, {"resourceType": "C"})
    content["entry"].append({"request": {"method": "DELETE", "url": "Patient/1"}})
    found = [(entry.kind, entry.broken) for entry in entries([json.dumps(content).encode()])]
    assert found == [("A", None), ("B", "record_too_large"), ("C", None), ("", "no_resource")]


WHOLE = json.dumps(bundle({"resourceType": "A"}, {"resourceType": "B"}))


@pytest.mark.parametrize(
    "content",
    [
        *(WHOLE[:length] for length in range(len(WHOLE))),
        WHOLE + "{}",
        WHOLE.replace("Bundle", "Patient"),
        WHOLE.replace("[{", "{"),
        WHOLE.replace("Bundle", "Bun\x00dle"),
        f"[{WHOLE}]",
        '{"resourceType": "Bundle", "entry": ' + "[" * 100_000,
    ],
)
def test_what_is_no_whole_bundle_is_refused(content):
    with pytest.raises(NotABundle):
        list(entries([content.encode()]))


def test_a_value_without_an_end_is_not_searched_through_the_whole_file(monkeypatch):
    monkeypatch.setattr(bundles, "LARGEST_MEMBER", 1000)
    read = []

    def chunks():
        yield b'{"resourceType": "Bundle", "entry": [{"resource": {"a": "'
        for number in range(100_000):
            read.append(number)
            yield b"x" * 100

    with pytest.raises(NotABundle):
        list(entries(chunks()))
    assert len(read) < 50
