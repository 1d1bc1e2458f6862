"""A package comes back as it was written, or is refused."""

import keras
import numpy as np
import pytest

from salus.datasets.folder import Folder, sha256
from salus.errors import Refused
from salus.models import build
from salus.timelines.spec import FeatureSpec
from salus.training.package import load_package, model_bytes, open_package, package_bytes, write_package
from salus.training.registry import tracking_uri
from tiny_network import BLOCKS, NETWORK, WIDTH

SPEC = FeatureSpec(windows_days=(), numeric_windows_days=(), count_statistics=(), numeric_statistics=(), groups=())


@pytest.fixture
def package(tmp_path):
    """The folder of a package, and what its model says of one person."""
    model = build("mlp", BLOCKS, NETWORK)
    folder = str(tmp_path / "package")
    write_package(
        folder, {"model.keras": model_bytes(model), "spec.json": SPEC.to_json().encode(), "training.json": b"{}"}
    )
    return folder, model


def test_a_package_comes_back_from_its_folder_and_from_its_bytes(package):
    folder, model = package
    inputs = {"inputs": np.ones((1, WIDTH), np.float32)}
    for again in (load_package(folder), open_package(package_bytes(folder))):
        np.testing.assert_array_equal(again.model(inputs), model(inputs))
        assert again.spec == SPEC
        assert again.hash == sha256(Folder(folder).read("manifest.json"))


@pytest.mark.parametrize("name", ["model.keras", "spec.json", "training.json"])
def test_a_package_that_was_changed_is_refused_before_anything_is_loaded(package, name, monkeypatch):
    folder = Folder(package[0])
    content = bytearray(folder.read(name))
    content[-1] ^= 1
    folder.write(name, bytes(content))
    monkeypatch.setattr(keras.saving, "load_model", lambda *given, **options: pytest.fail("it was loaded"))
    for read in (load_package, package_bytes):
        with pytest.raises(Refused, match=f"{name} is not the file that was packaged"):
            read(folder.url)


def test_a_package_that_is_not_whole_is_refused(package):
    folder = Folder(package[0])
    folder.delete("spec.json")
    with pytest.raises(Refused, match=r"without spec\.json"):
        load_package(folder.url)


def test_a_model_with_code_of_its_own_is_not_loaded(package):
    folder = Folder(package[0])
    given = keras.Input((WIDTH,))
    lambdas = keras.Model(given, keras.layers.Lambda(lambda x: x[:, :1])(given))
    write_package(
        folder.url, {"model.keras": model_bytes(lambdas), "spec.json": SPEC.to_json().encode(), "training.json": b"{}"}
    )
    with pytest.raises(ValueError, match=r"lambda|unsafe"):
        load_package(folder.url)


def test_a_registry_needs_a_server_where_the_warehouse_is_no_folder(tmp_path):
    assert tracking_uri(str(tmp_path), None) == f"sqlite:///{tmp_path}/_registry/mlflow.db"
    assert tracking_uri("s3a://bucket/warehouse", "http://mlflow:5000") == "http://mlflow:5000"
    with pytest.raises(Refused, match="SALUS_TRACKING_URI"):
        tracking_uri("s3a://bucket/warehouse", None)
