"""A model package: ``model.keras``, ``spec.json``, ``training.json`` and a manifest with the SHA-256 of each.

A package is verified before it is loaded, and loaded in Keras's safe mode, which refuses a lambda's code. It
travels to executors as bytes, so they need no shared disk.
"""

import io
import json
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salus.datasets.folder import Folder, sha256
from salus.errors import Refused
from salus.timelines.spec import FeatureSpec

if TYPE_CHECKING:
    import keras

MODEL, SPEC, INFO, MANIFEST = "model.keras", "spec.json", "training.json", "manifest.json"
CONTENTS = (MODEL, SPEC, INFO)


@dataclass(frozen=True)
class Package:
    """A verified package, loaded.

    Args:
        model: standardised blocks (samples, *shape) by name to logits before calibration, (samples, 1); of a time to
            event (samples, intervals), of its incidence by the end of each; of classes (samples, classes). The last is
            the raw score.
        spec: makes those inputs.
        info: how it was trained: task, architecture, settings, history, metrics, data set, versions.
        hash: SHA-256 of its manifest.
    """

    model: "keras.Model"
    spec: FeatureSpec
    info: dict[str, Any]
    hash: str


def write_package(url: str, contents: Mapping[str, bytes]) -> str:
    """Write a package of ``contents`` (the names of ``CONTENTS``) into the folder ``url``; returns its hash."""
    folder = Folder(url)
    for name in CONTENTS:
        folder.write(name, contents[name])
    return folder.write_json(MANIFEST, {"format": 1, "sha256": {name: sha256(contents[name]) for name in CONTENTS}})


def read_package(url: str) -> dict[str, bytes]:
    """The files of the package in the folder ``url``, verified, with its manifest.

    Raises:
        Refused: it is not whole, or a file is not the one that the manifest names.
    """
    folder = Folder(url)
    missing = [name for name in (*CONTENTS, MANIFEST) if not folder.has(name)]
    if missing:
        raise Refused(
            f"Received the model package {url} without {', '.join(missing)}; expected a whole one. Train again."
        )
    return verified({name: folder.read(name) for name in (*CONTENTS, MANIFEST)}, url)


def package_info(url: str) -> dict[str, Any]:
    """How the model of the package in the folder ``url`` was trained, verified; empty where there is no package."""
    return json.loads(read_package(url)[INFO]) if Folder(url).has(MANIFEST) else {}


def verified(contents: Mapping[str, bytes], where: str) -> dict[str, bytes]:
    """``contents``, if every file is the one that the manifest among them names.

    Raises:
        Refused: one is not.
    """
    try:
        named = json.loads(contents[MANIFEST])["sha256"]
    except (KeyError, ValueError) as error:
        raise Refused(
            f"Received {where} with no readable {MANIFEST}; expected a model package. Train again."
        ) from error
    for name in CONTENTS:
        if sha256(contents.get(name, b"")) != named.get(name):
            raise Refused(
                f"Received {where}, whose {name} is not the file that was packaged (its SHA-256 differs); expected it "
                "unchanged. Nothing was loaded: restore the package, or train again."
            )
    return dict(contents)


def package_bytes(url: str) -> bytes:
    """The package in the folder ``url``, verified, as one archive: for a broadcast."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in read_package(url).items():
            file.writestr(zipfile.ZipInfo(name), content)
    return archive.getvalue()


def open_package(archive: bytes) -> Package:
    """The package that ``package_bytes`` packed, verified again and loaded."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    return _loaded(verified(contents, "a model package archive"))


def load_package(url: str) -> Package:
    """The package in the folder ``url``, verified and loaded in safe mode.

    Raises:
        Refused: it is not whole, or it was changed.
    """
    return _loaded(read_package(url))


def model_bytes(model: "keras.Model") -> bytes:
    """``model`` in Keras's own format."""
    with tempfile.TemporaryDirectory(prefix="salus-model-") as folder:
        path = Path(folder) / MODEL
        model.save(path)
        return path.read_bytes()


def _loaded(contents):
    import keras

    import salus.models.layers  # noqa: F401  # registers the layers that a saved model may name

    with tempfile.TemporaryDirectory(prefix="salus-model-") as folder:
        path = Path(folder) / MODEL
        path.write_bytes(contents[MODEL])
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    return Package(
        model, FeatureSpec.from_json(contents[SPEC].decode()), json.loads(contents[INFO]), sha256(contents[MANIFEST])
    )
