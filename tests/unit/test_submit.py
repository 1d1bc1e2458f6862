"""submit.sh and the launcher: what is missing is named, and spark-submit gets what the settings say."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from salus import launch
from salus.session import DELTA_PACKAGE
from salus.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
JAVA = "echo 'openjdk version \"{version}\" 2025-04-15' >&2\n"
TOOLS = ("bash", "env", "dirname", "basename", "sed", "head", "uname", "cut", "sha256sum", "cat")


@pytest.fixture
def machine(tmp_path):
    """``machine(without=..., java=...)``: a PATH with what submit.sh needs, less one thing."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def script(name, text):
        (folder / name).write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        (folder / name).chmod(0o755)

    def make(without=None, java="17.0.15"):
        for tool in TOOLS:
            (folder / tool).symlink_to(shutil.which(tool))
        script("python3.11", f'exec {sys.executable} "$@"')
        script("java", JAVA.format(version=java))
        script("c++", "cat >/dev/null")  # a compiler reads what it is given, or the pipe to it breaks
        for tool in ("cmake", "make"):
            script(tool, "exit 0")
        if without:
            (folder / without).unlink()
        return {"PATH": str(folder), "HOME": str(tmp_path)}

    return make


def submit(environment, *arguments):
    return subprocess.run(
        ["bash", str(ROOT / "submit.sh"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=environment["HOME"],
    )


@pytest.mark.parametrize(
    ("tool", "named", "package"),
    [
        ("python3.11", "Python 3.11", "python3.11-venv"),
        ("java", "Java", "openjdk-17-jdk-headless"),
        ("c++", "a C++17 compiler", "g++"),
        ("cmake", "cmake", "cmake"),
        ("make", "make", "make"),
    ],
)
def test_what_is_missing_is_named_with_the_line_that_installs_it(machine, tmp_path, tool, named, package):
    ended = submit(machine(without=tool), "setup")
    assert ended.returncode == 4
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"salus: Received a machine without {named}; expected ")
    assert "apt-get install -y " in line
    assert package in line.partition("apt-get install -y ")[2].split()
    assert [file.name for file in tmp_path.iterdir()] == ["bin"], "nothing is written before all is there"


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.2", "25"])
def test_a_java_of_another_version_is_refused(machine, version):
    ended = submit(machine(java=version), "setup")
    assert ended.returncode == 4
    assert "expected a JDK 17 or 21" in ended.stderr


def test_nothing_is_looked_for_where_only_the_jobs_are_asked_for(machine):
    ended = submit(machine(without="java"))
    assert ended.returncode == 0
    listed = {line.split()[0]: line for line in ended.stdout.splitlines() if line.startswith("  ")}
    for name, sentence in launch.sentences(ROOT / "jobs").items():
        assert listed[name].split(maxsplit=1)[1] == sentence


def test_a_job_that_does_not_exist_is_refused(machine):
    ended = submit(machine(), "ingset")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[-1] == "salus: Received the job 'ingset'; expected one of the above."


def test_delta_is_pinned_where_submit_looks_for_it():
    assert f'DELTA_PACKAGE = "{DELTA_PACKAGE}"\n' in (ROOT / "lib" / "salus" / "session.py").read_text()


def test_the_lock_names_no_registry_and_has_a_hash_for_every_pin():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    pins = [block for block in text.replace("\\\n", "").splitlines() if "==" in block and not block.startswith(" ")]
    assert len(pins) > 50
    assert all("--hash=sha256:" in pin for pin in pins)


def test_a_job_goes_through_spark_submit_with_the_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = launch.command(
        ROOT / "jobs" / "score.py",
        ["--as-of", "2026-06-30"],
        Settings(master="spark://head:7077", spark={"spark.sql.shuffle.partitions": "64"}),
    )
    assert asked[0].endswith("/bin/spark-submit")
    assert asked[1:3] == ["--master", "spark://head:7077"]
    assert f"spark.jars.packages={DELTA_PACKAGE}" in asked
    assert f"spark.jars.ivy={tmp_path}/salus/ivy" in asked
    assert "spark.sql.shuffle.partitions=64" in asked
    assert not [word for word in asked if word.startswith("spark.driver.host")], "only local masters are on loopback"
    assert asked[-3:] == [str(ROOT / "jobs" / "score.py"), "--as-of", "2026-06-30"]


def test_what_stands_after_spark_goes_to_spark_submit_and_wins_by_standing_last():
    asked = launch.command(
        ROOT / "jobs" / "score.py", ["--as-of", "2026-06-30", "--spark", "--conf", "spark.ui.enabled=true"], Settings()
    )
    job = asked.index(str(ROOT / "jobs" / "score.py"))
    assert asked[job - 2 : job] == ["--conf", "spark.ui.enabled=true"]
    assert asked[job + 1 :] == ["--as-of", "2026-06-30"]
    assert asked.index("spark.ui.enabled=false") < job - 1


def test_the_job_may_name_its_master():
    assert launch._option(["score", "--master=yarn", "--spark", "--master", "local[1]"], "--master") == "yarn"
    assert launch._option(["score", "--master", "yarn"], "--master") == "yarn"
    assert launch._option(["score", "--spark", "--master", "yarn"], "--master") is None


@pytest.mark.parametrize(("job", "arguments"), [("simulate", ["--people", "5"]), ("score", ["--help"]), ("shell", [])])
def test_what_needs_no_spark_starts_none(job, arguments):
    assert launch.command(ROOT / "jobs" / f"{job}.py", arguments, Settings()) == [
        sys.executable,
        str(ROOT / "jobs" / f"{job}.py"),
        *arguments,
    ]


def test_another_spark_on_the_machine_is_not_used():
    environment = launch.environment({"SPARK_HOME": "/opt/spark-2.4", "PYSPARK_PYTHON": "python2", "HOME": "/home/x"})
    assert Path(environment["SPARK_HOME"]).joinpath("bin", "spark-submit").is_file()
    assert environment["PYSPARK_PYTHON"] == environment["PYSPARK_DRIVER_PYTHON"] == sys.executable
    assert environment["HOME"] == "/home/x"


def test_the_command_without_a_job_lists_them(capsys):
    assert launch.main([]) == 0
    assert "  score " in capsys.readouterr().out


def test_a_job_that_does_not_exist_exits_with_2(capsys):
    assert launch.main(["scroe"]) == 2
    assert "Received the job 'scroe'; expected one of " in capsys.readouterr().err


def test_the_launcher_becomes_the_job(monkeypatch):
    became = []
    monkeypatch.setattr(os, "execve", lambda *asked: became.append(asked))
    launch.main(["simulate", "--help"])
    [(program, arguments, environment)] = became
    assert (program, arguments[1:]) == (sys.executable, [str(ROOT / "jobs" / "simulate.py"), "--help"])
    assert environment["PYSPARK_PYTHON"] == sys.executable
