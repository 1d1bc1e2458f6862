"""What the shell has at hand, and that it reads its command line as every job does."""

import pytest

import shell


def typed(monkeypatch, *lines):
    """Have ``lines`` be what is typed, and then the end of input."""
    left = iter(lines)

    def read(prompt=""):
        if (line := next(left, None)) is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", read)


def test_the_shell_has_the_session_and_the_tables_of_its_warehouse(spark, job_in, tmp_path, monkeypatch, capsys):
    with job_in(tmp_path) as job:
        job.tables.replace("codes", job.tables.frame("codes", []))
    typed(monkeypatch, "print(table('codes').count() + spark.range(7).count(), sorted(tables.published))")
    assert shell.main([f"--warehouse={tmp_path}"]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == "7 ['codes']"
    assert f"of the warehouse {tmp_path}: codes" in said.err


@pytest.mark.parametrize(("asked", "code", "said"), [("--help", 0, "--warehouse"), ("somewhere", 2, "unrecognized")])
def test_the_shell_reads_its_command_line_as_every_job_does(monkeypatch, capsys, asked, code, said):
    monkeypatch.setattr(shell, "published_tables", None)
    with pytest.raises(SystemExit) as ended:
        shell.main([asked])
    assert ended.value.code == code
    assert said in "".join(capsys.readouterr())
