"""The key and what is made with it."""

import stat

import pytest

from salus.errors import Refused
from salus.privacy.pseudonyms import create_key, pseudonym, read_key

KEY = bytes(range(32))


def test_a_pseudonym_is_a_positive_long_that_depends_on_all_that_goes_in():
    one = pseudonym(KEY, "main", "fhir", "pt-1")
    assert 0 <= one < 2**63
    assert one == pseudonym(KEY, "main", "fhir", "pt-1")
    others = {
        pseudonym(KEY[::-1], "main", "fhir", "pt-1"),
        pseudonym(KEY, "north", "fhir", "pt-1"),
        pseudonym(KEY, "main", "payer", "pt-1"),
        pseudonym(KEY, "main", "fhir", "pt-2"),
        pseudonym(KEY, "mainf", "hir", "pt-1"),
        pseudonym(KEY, "main", "fhirpt", "-1"),
    }
    assert one not in others
    assert len(others) == 6


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    path = tmp_path / "new" / "site.key"
    key = create_key(path)
    assert len(key) == 32
    assert create_key(path) == key == read_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_key_or_a_short_one_is_refused_without_a_word_of_it(tmp_path):
    with pytest.raises(Refused, match="--create-key"):
        read_key(tmp_path / "none.key")
    short = tmp_path / "short.key"
    short.write_text("c0ffee")
    with pytest.raises(Refused) as refused:
        read_key(short)
    assert "c0ffee" not in str(refused.value)
