"""One-line constructors of commented fields, so that a schema reads as a table."""

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
)

LONG, INT, FLOAT, DOUBLE, STRING = LongType(), IntegerType(), FloatType(), DoubleType(), StringType()
BOOLEAN, DATE, TIME, MONEY = BooleanType(), DateType(), TimestampNTZType(), DecimalType(18, 4)
LONGS, FLOATS, DOUBLES, STRINGS = ArrayType(LONG), ArrayType(FLOAT), ArrayType(DOUBLE), ArrayType(STRING)
VERSIONS, MEASURES = MapType(STRING, LONG), MapType(STRING, DOUBLE)


def array_of(**kinds: DataType) -> ArrayType:
    """A list of structs with fields ``kinds``."""
    return ArrayType(StructType([StructField(name, kind) for name, kind in kinds.items()]))


def field(name: str, kind: DataType, comment: str, required: bool = False) -> StructField:
    """A nullable field (or a required one) that carries its meaning and unit as Delta's column comment."""
    return StructField(name, kind, nullable=not required, metadata={"comment": comment})
