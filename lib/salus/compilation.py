"""What HotSpot's optimizing compiler leaves alone: the code that plans queries, which runs for seconds.

A job's JVM lives for minutes. In its first ones the optimizing compiler (C2) takes a third of all cores, and half of
that goes to Spark's analyser, to the parser of SQL and to Janino, which turns plans into Java and that into classes:
they are warm by the time that a run is over. Excluded from C2, they run as the quick compiler (C1) made them; rows
are read, mapped and written by the best code as ever. Compiler directives are JEP 165's.
"""

import os
import subprocess
import tempfile

from pyspark.sql import SparkSession

PLANNING = (
    "org/codehaus/*.*",
    "org/antlr/*.*",
    "org/apache/spark/sql/catalyst/analysis/*.*",
    "org/apache/spark/sql/catalyst/optimizer/*.*",
    "org/apache/spark/sql/catalyst/parser/*.*",
    "org/apache/spark/sql/catalyst/planning/*.*",
    "org/apache/spark/sql/catalyst/plans/*.*",
    "org/apache/spark/sql/catalyst/trees/*.*",
    "org/apache/spark/sql/catalyst/expressions/codegen/Code*.*",
    "org/apache/xbean/*.*",
    "java/io/Object*.*",
    "scala/reflect/*.*",
    "com/ibm/icu/*.*",
    "py4j/*.*",
)
"""Classes that work on plans, on closures and on the way between Python and the JVM, and on no row."""


SECONDS = 20
"""That the JVM may take to hear of it; a run that is told nothing is slower, and no other."""


def plan_quickly(spark: SparkSession) -> bool:
    """Keep the optimizing compiler from ``PLANNING`` in the session's JVM; False where that JVM was not told.

    Args:
        spark: the session; its JVM must be on this machine. It is told by its own JDK's ``jcmd``, which a runtime
            without tools lacks.
    """
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    jcmd = os.path.join(jvm.java.lang.System.getProperty("java.home"), "bin", "jcmd")
    pid = str(jvm.java.lang.ProcessHandle.current().pid())
    patterns = ", ".join(f'"{pattern}"' for pattern in PLANNING)
    with tempfile.NamedTemporaryFile("w", prefix="salus-", suffix=".json") as file:
        file.write(f"[{{match: [{patterns}], c2: {{Exclude: true}}}}]")
        file.flush()
        try:
            asked = [jcmd, pid, "Compiler.directives_add", file.name]
            told = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            return False
    return told.returncode == 0
