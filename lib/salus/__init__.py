"""Salus: risk scores for whole populations, from raw files to published, explained scores."""

__version__ = "0.1.0"
