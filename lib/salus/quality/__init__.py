"""Data quality: is what came in fit to be scored? Checks in the categories of Kahn et al. 2016, with their figures."""
