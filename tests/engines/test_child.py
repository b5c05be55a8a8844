import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from driftline.contracts import EmbedJob
from driftline.contracts.children import REFUSAL
from driftline.engines import child
from driftline.interests.cores import cores
from tests.engines.conftest import OF_ANOTHER_JOB, ROOT

JOB = {"texts": "a", "model": "b", "out": "c"}
RUN = "import os, time; from driftline.contracts import BadInput, EmbedJob; from driftline.engines import child\n"


def run(body: str, job: object, tmp_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "JOB.json").write_text(json.dumps(job))
    command = [sys.executable, "-c", RUN + body, str(tmp_path / "JOB.json")]
    return subprocess.run(command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, timeout=600)


def test_reads_its_job_and_reports_lines_of_json(tmp_path: Path) -> None:
    done = run("child.main(EmbedJob, lambda job: child.report('embedding', 1, 2, job.model))", JOB, tmp_path)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"stage": "embedding", "done": 1, "total": 2, "note": "b"})
    assert EmbedJob(**JOB).model == "b"


def test_bad_input_is_exit_code_2_and_one_marked_line(tmp_path: Path) -> None:
    late = "import atexit, sys; atexit.register(lambda: print('a library says goodbye', file=sys.stderr))\n"
    done = run(late + "def f(job): raise BadInput('too\\n short')\nchild.main(EmbedJob, f)", JOB, tmp_path)
    assert done.returncode == 2
    assert f"{REFUSAL}too short" in done.stderr.splitlines()


@pytest.mark.parametrize("fault", ["1 / 0", "int('1,5')", "json.loads('{')", "os.stat('/no/such/file')"])
def test_a_fault_is_no_bad_input_though_it_be_a_value_error(fault: str, tmp_path: Path) -> None:
    done = run(f"import json\ndef f(job): {fault}\nchild.main(EmbedJob, f)", JOB, tmp_path)
    assert (done.returncode, REFUSAL in done.stderr) == (1, False)


def test_a_job_that_this_release_cannot_read_waits_for_one_that_can(tmp_path: Path) -> None:
    assert run("child.main(EmbedJob, print)", {"texts": "a"}, tmp_path).returncode == 1


@pytest.mark.parametrize(
    ("given", "threads"), [("3", 3), ("4,2", 4), (" 5 , 2", 5), ("many", cores()), ("0", cores()), ("", cores())]
)
def test_threads_are_the_first_number_of_the_variable_or_the_cores(
    given: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert child.threads() == threads


def test_a_job_knows_nothing_of_the_job_that_the_worker_is_part_of(tmp_path: Path) -> None:
    job = "def f(job): print(*sorted(set(os.environ) & set(job.texts.split())))\nchild.main(EmbedJob, f)"
    asked = JOB | {"texts": " ".join([*OF_ANOTHER_JOB, "CUDA_VISIBLE_DEVICES"])}
    done = run(job, asked, tmp_path, **OF_ANOTHER_JOB, CUDA_VISIBLE_DEVICES="0")
    assert done.stdout == "CUDA_VISIBLE_DEVICES\n"


def test_collects_garbage_once_its_modules_are_loaded(tmp_path: Path) -> None:
    job = "child.main(EmbedJob, lambda job: print(gc.isenabled(), gc.get_freeze_count() > 0))"
    done = run("import gc\nchild.arm()\nprint(gc.isenabled())\n" + job, JOB, tmp_path)
    assert done.stdout == "False\nTrue True\n"


@pytest.mark.long
def test_a_model_is_loaded_without_scikit_learn(tmp_path: Path) -> None:
    loaded = "import sys\nchild.skip_scikit_learn()\nfrom transformers import AutoModelForCausalLM\n"
    done = run(loaded + "child.main(EmbedJob, lambda job: print('sklearn.metrics' in sys.modules))", JOB, tmp_path)
    assert done.stdout == "False\n"


def test_a_child_whose_parent_is_gone_does_nothing(tmp_path: Path) -> None:
    done = run("child.main(EmbedJob, print)", JOB, tmp_path, DRIFTLINE_PARENT_PID="1")
    assert (done.returncode, done.stdout) == (1, "")


def test_dies_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "JOB.json").write_text(json.dumps(JOB))
    job = RUN + "child.main(EmbedJob, lambda job: (child.report('x', 0, 1), time.sleep(60)))"
    parent = (
        "import os, subprocess, sys\n"
        f"env = os.environ | {{'DRIFTLINE_PARENT_PID': str(os.getpid())}}\n"
        f"command = [sys.executable, '-c', {job!r}, {str(tmp_path / 'JOB.json')!r}]\n"
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
