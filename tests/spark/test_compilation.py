"""The JVM's optimizing compiler, kept from what works on plans."""

import subprocess
from pathlib import Path

from salus import compilation
from salus.compilation import PLANNING, plan_quickly


def directives(spark) -> str:
    """What the session's JVM says that its compilers are told."""
    java = Path(spark._jvm.java.lang.System.getProperty("java.home"))
    pid = str(spark._jvm.java.lang.ProcessHandle.current().pid())
    asked = [java / "bin" / "jcmd", pid, "Compiler.directives_print"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout


def test_a_local_session_has_told_its_compiler_what_works_on_plans(spark):
    (told,) = {line for line in directives(spark).splitlines() if PLANNING[0] in line}
    assert all(pattern in told for pattern in PLANNING)


def test_a_jvm_that_does_not_answer_is_left_as_it_is(spark, monkeypatch):
    before = directives(spark)
    monkeypatch.setattr(compilation, "SECONDS", 0.0)
    assert plan_quickly(spark) is False
    assert directives(spark).count("Directive:") == before.count("Directive:")
