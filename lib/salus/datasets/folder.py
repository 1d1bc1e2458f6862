"""A folder of files on whatever file system the warehouse is on, written so that nobody sees half a file.

Local paths, ``file:``, ``hdfs://`` and ``s3://`` go through ``pyarrow.fs``. What is written on one node is read on
others, so on a cluster the warehouse must be storage that all nodes share.
"""

import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from salus.errors import Refused


class Folder:
    """A folder, named by a local path or a URL; it can be sent to another process."""

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        self.files, self.path = _opened(self.url)

    def __reduce__(self):
        return Folder, (self.url,)

    def __truediv__(self, name: str) -> "Folder":
        return Folder(f"{self.url}/{name}")

    def has(self, name: str) -> bool:
        """Whether it holds the file ``name``."""
        return self.files.get_file_info(f"{self.path}/{name}").type == fs.FileType.File

    def names(self) -> list[str]:
        """Names of the files and folders in it, sorted; none where it does not exist."""
        found = self.files.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        return sorted(info.base_name for info in found)

    def size(self, name: str) -> int | None:
        """Bytes of the file ``name``; None = there is no such file."""
        info = self.files.get_file_info(f"{self.path}/{name}")
        return info.size if info.type == fs.FileType.File else None

    def read(self, name: str) -> bytes:
        """The content of ``name``."""
        with self.files.open_input_stream(f"{self.path}/{name}") as stream:
            return stream.read()

    def open(self, name: str) -> pa.NativeFile:
        """``name``, to be read at any position."""
        return self.files.open_input_file(f"{self.path}/{name}")

    def write(self, name: str, content: bytes | pa.Buffer) -> None:
        """Put ``content`` under ``name`` at once: into a temporary name first, then renamed."""
        self.files.create_dir(self.path, recursive=True)
        temporary = f"{self.path}/.{name}.{uuid.uuid4().hex}.tmp"
        with self.files.open_output_stream(temporary) as stream:
            stream.write(content)
        self.files.move(temporary, f"{self.path}/{name}")

    def write_json(self, name: str, content: Any) -> str:
        """Write ``content`` as JSON; returns the SHA-256 of its bytes."""
        text = (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
        self.write(name, text)
        return sha256(text)

    def read_json(self, name: str) -> Any:
        """The content of the JSON file ``name``."""
        return json.loads(self.read(name))

    def move(self, name: str, into: "Folder") -> None:
        """Put the file ``name`` into the folder ``into``, under its name."""
        into.files.create_dir(into.path, recursive=True)
        self.files.move(f"{self.path}/{name}", f"{into.path}/{name}")

    def delete(self, name: str) -> None:
        """Remove the file ``name``, where there is one."""
        if self.has(name):
            self.files.delete_file(f"{self.path}/{name}")

    def clear(self) -> None:
        """Remove the folder and all that is in it, where there is one."""
        if self.files.get_file_info(self.path).type == fs.FileType.Directory:
            self.files.delete_dir(self.path)


def sha256(content: bytes | pa.Buffer) -> str:
    """SHA-256 of ``content``, in hex digits."""
    return hashlib.sha256(content).hexdigest()


def _opened(url: str) -> tuple[fs.FileSystem, str]:
    if "://" not in url and not url.startswith("file:"):
        return fs.LocalFileSystem(), os.path.abspath(url)
    if url.startswith("file:"):
        return fs.LocalFileSystem(), str(Path("/" + url.removeprefix("file:").lstrip("/")))
    try:
        return fs.FileSystem.from_uri(url.replace("s3a://", "s3://", 1))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Refused(
            f"Received the folder {url}; expected a local path, file:, hdfs://, s3:// or s3a://. "
            "Name a warehouse that pyarrow can open, or mount it as a shared folder."
        ) from error
