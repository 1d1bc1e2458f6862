"""Pseudonyms: how a person is named here without being known."""
