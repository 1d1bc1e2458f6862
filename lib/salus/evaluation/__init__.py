"""How good a model is on people it has never seen: discrimination, calibration, intervals, and leakage's price."""
