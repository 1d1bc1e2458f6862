"""Pseudonyms: the first 63 bits of HMAC-SHA-256 under the site's key over (site, system, identifier).

Catalyst has ``sha2`` but no HMAC, so the two pads of RFC 2104 are joined in as a one-row frame: an expression's
literals stand in plans, event logs and error messages, a frame's rows do not. ``pseudonym`` gives the same in
Python; a test holds the two together.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import BinaryType, StructField, StructType

from salus.errors import EnvironmentFault, Refused
from salus.storage.query import literal
from salus.storage.small import small_frame

BLOCK_BYTES = 64
"""SHA-256's block, to which RFC 2104 pads a key."""

KEY_BYTES = 32
PADS = StructType([StructField("_inner_pad", BinaryType(), False), StructField("_outer_pad", BinaryType(), False)])


def read_key(path: Path) -> bytes:
    """The site's key from ``path``, where it stands as hexadecimal digits.

    Raises:
        Refused: there is no such file, or it holds no key of at least 32 bytes.
    """
    if not path.is_file():
        raise Refused(
            f"Received no key file {path}; expected the site's key there. Give its path as SALUS_KEY_FILE, "
            "or let the first ingest make one with --create-key."
        )
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (UnicodeDecodeError, ValueError):
        key = b""
    if len(key) < KEY_BYTES:
        raise Refused(
            f"Received the key file {path}, which holds no key; expected {2 * KEY_BYTES} or more "
            "hexadecimal digits. Name the right file."
        )
    return key


def create_key(path: Path) -> bytes:
    """The key in ``path``, made now where there is none; only its owner may read the file.

    Raises:
        EnvironmentFault: the file cannot be written.
    """
    if path.exists():
        return read_key(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise EnvironmentFault(
            f"Received {path} for the site's key, which cannot be written ({error.strerror}); "
            "expected a folder that can. Name another with SALUS_KEY_FILE."
        ) from error
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
    return read_key(path)


def pseudonym(key: bytes, site: str, system: str, identifier: str) -> int:
    """The pseudonym of ``identifier``, which ``system`` of ``site`` gave: 0 <= pseudonym < 2**63."""
    message = (_scope(site, system) + identifier).encode()
    return int.from_bytes(hmac.new(key, message, hashlib.sha256).digest()[:8], "big") >> 1


def pads(spark: SparkSession, key: bytes) -> DataFrame:
    """One row, to be cross joined before ``pseudonym_of`` is used: the key in the only form that is passed on."""
    block = (hashlib.sha256(key).digest() if len(key) > BLOCK_BYTES else key).ljust(BLOCK_BYTES, b"\0")
    inner, outer = (bytearray(byte ^ pad for byte in block) for pad in (0x36, 0x5C))
    return small_frame(spark, [(inner, outer)], PADS)


def pseudonym_of(site: str, system: str, identifier: str) -> str:
    """``pseudonym`` of an expression, both in Spark SQL, over rows that carry ``pads``; null where the id is null."""
    message = f"CAST(concat({literal(_scope(site, system))}, {identifier}) AS BINARY)"
    inner = f"unhex(sha2(concat(_inner_pad, {message}), 256))"
    digest = f"sha2(concat(_outer_pad, {inner}), 256)"
    return f"shiftrightunsigned(CAST(conv(substring({digest}, 1, 16), 16, -10) AS BIGINT), 1)"


def _scope(site, system):
    """What stands before an identifier, so that no two (site, system, identifier) give one message."""
    return f"{len(site)}:{site}{len(system)}:{system}"
