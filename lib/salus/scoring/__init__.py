"""Score everybody who is eligible as of a date: probability, reasons, percentile, tier, or why there is none."""
