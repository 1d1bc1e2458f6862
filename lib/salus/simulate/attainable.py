"""Attainable."""
import numpy as np
def attainable_probability(clock, chunk):
    return np.full((len(chunk.course.people), len(clock.index_dates)), 0.05)
