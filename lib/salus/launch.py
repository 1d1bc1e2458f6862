"""Start a job: the command line of ``spark-submit``, from the settings and the one place where Delta is pinned.

``submit.sh`` and the entry point ``salus`` both come here. Nothing of a job depends on it: ``spark-submit
jobs/score.py ...`` with the same settings does the same.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pyspark

from salus.errors import Refused, SalusError
from salus.session import spark_settings
from salus.settings import Settings, conf_dir, load_settings

USAGE = "Usage: salus <job> [the job's arguments ...] [--spark <arguments of spark-submit ...>]"


def jobs_dir() -> Path:
    """The folder of the jobs: beside conf/ in a checkout, and in the installed package."""
    for root in Path(__file__).resolve().parents:
        if (root / "jobs" / "ingest.py").is_file():
            return root / "jobs"
    return conf_dir().parent / "jobs"


def sentences(folder: Path) -> dict[str, str]:
    """Each job's name and the first line of its docstring."""
    first_lines = {path.stem: path.read_text(encoding="utf-8").partition("\n")[0] for path in folder.glob("*.py")}
    return {name: line.strip('" ') for name, line in sorted(first_lines.items())}


def command(job: Path, arguments: Sequence[str], settings: Settings) -> list[str]:
    """The command that runs ``job``: through spark-submit, or by Python alone where it asks for no ``spark_job``.

    Args:
        job: the job's file.
        arguments: the job's own, then after ``--spark`` those of spark-submit, which win over the settings.
        settings: master, memory, jars and further Spark settings.
    """
    own, _, further = _split(arguments)
    if {"-h", "--help"} & set(own) or "spark_job" not in job.read_text(encoding="utf-8"):
        return [sys.executable, str(job), *own]
    submit = [str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), "--master", settings.master]
    for key, value in spark_settings(settings).items():
        submit += ["--conf", f"{key}={value}"]
    return [*submit, *further, str(job), *own]


def environment(inherited: dict[str, str]) -> dict[str, str]:
    """``inherited`` with this Python and its pyspark for driver and executors, whatever Spark else is installed."""
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": inherited.get("TF_CPP_MIN_LOG_LEVEL", "3")}
    kept = {key: value for key, value in inherited.items() if key != "SPARK_HOME"}
    return kept | {"SPARK_HOME": str(Path(pyspark.__file__).parent)} | python | quiet


def main(argv: Sequence[str] | None = None) -> int:
    """Become the job's process, so that signals and the exit code are the job's own."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    folder = jobs_dir()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, *(f"  {name:<10} {line}" for name, line in sentences(folder).items()), sep="\n")
        return 0
    try:
        job = folder / f"{arguments[0]}.py"
        if not job.is_file():
            raise Refused(f"Received the job {arguments[0]!r}; expected one of {', '.join(sentences(folder))}. {USAGE}")
        asked = command(job, arguments[1:], load_settings(master=_option(arguments, "--master")))
    except SalusError as error:
        print(f"salus: {error}", file=sys.stderr)
        return error.exit_code
    sys.stdout.flush()
    return os.execve(asked[0], asked, environment(dict(os.environ)))


def _split(arguments):
    position = list(arguments).index("--spark") if "--spark" in arguments else len(arguments)
    return list(arguments[:position]), "--spark", list(arguments[position + 1 :])


def _option(arguments, name):
    """The value of ``name value`` or ``name=value`` among the job's own arguments."""
    own = _split(arguments)[0]
    for place, argument in enumerate(own):
        if argument == name and place + 1 < len(own):
            return own[place + 1]
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
    return None


if __name__ == "__main__":
    sys.exit(main())
