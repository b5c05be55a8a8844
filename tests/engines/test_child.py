import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from contracts import EmbedJob
from tests.engines.conftest import ROOT

JOB = {"texts": "a", "model": "b", "out": "c"}
RUN = "import time; from contracts import EmbedJob; from engines import child\n"


def run(body: str, job: object, tmp_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "JOB.json").write_text(json.dumps(job))
    command = [sys.executable, "-c", RUN + body, str(tmp_path / "JOB.json")]
    return subprocess.run(command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, timeout=60)


def test_reads_its_job_and_reports_lines_of_json(tmp_path: Path) -> None:
    done = run("child.main(EmbedJob, lambda job: child.report('embedding', 1, 2, job.model))", JOB, tmp_path)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"stage": "embedding", "done": 1, "total": 2, "note": "b"})
    assert EmbedJob(**JOB).model == "b"


def test_bad_input_is_exit_code_2_and_one_line(tmp_path: Path) -> None:
    done = run("def f(job): raise ValueError('too\\n short')\nchild.main(EmbedJob, f)", JOB, tmp_path)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "too short")
    assert run("child.main(EmbedJob, print)", {"texts": "a"}, tmp_path).returncode == 2
    assert run("def f(job): 1 / 0\nchild.main(EmbedJob, f)", JOB, tmp_path).returncode == 1


def test_a_child_whose_parent_is_gone_does_nothing(tmp_path: Path) -> None:
    done = run("child.main(EmbedJob, print)", JOB, tmp_path, DRIFTLINE_PARENT_PID="1")
    assert (done.returncode, done.stdout) == (1, "")


def test_dies_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "JOB.json").write_text(json.dumps(JOB))
    child = RUN + "child.main(EmbedJob, lambda job: (child.report('x', 0, 1), time.sleep(60)))"
    parent = (
        "import os, subprocess, sys\n"
        f"env = os.environ | {{'DRIFTLINE_PARENT_PID': str(os.getpid())}}\n"
        f"command = [sys.executable, '-c', {child!r}, {str(tmp_path / 'JOB.json')!r}]\n"
        "p = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, start_new_session=True)\n"
        "p.stdout.readline(); print(p.pid, flush=True); p.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
