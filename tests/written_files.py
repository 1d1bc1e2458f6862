"""What lies in a folder that was written, for comparison with another."""

import hashlib


def hashes(out):
    """Each file under ``out``, by its path from there, with the hash of what it holds."""
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in out.rglob("*") if p.is_file()}
