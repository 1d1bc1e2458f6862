"""A population with a known risk model, written as three real systems would have left it."""
