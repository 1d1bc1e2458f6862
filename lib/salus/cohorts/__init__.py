"""Who is predicted for, when, with which label and in which split."""
