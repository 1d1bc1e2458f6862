"""Sources are data, not code: a YAML of Spark SQL expressions maps files onto Salus's tables."""
