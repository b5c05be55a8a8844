"""Where a setting comes from, which one wins, and what a mistake is answered with."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from driftline.commands.context import load_settings
from driftline.contracts import Gates, Training, Windows
from driftline.settings import Settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no setting from outside."""
    for name in os.environ:
        if name.startswith("DRIFTLINE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "driftline.toml").write_text(text)


def test_without_a_file_the_defaults_hold() -> None:
    settings = Settings()
    assert (settings.home, settings.training, settings.gates) == (Path(".driftline"), Training(), Gates())


def test_the_command_line_beats_the_environment_beats_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "[training]\nsteps = 1\nrank = 1\nseed = 1\nalpha = 1")
    monkeypatch.setenv("DRIFTLINE_TRAINING__RANK", "2")
    monkeypatch.setenv("DRIFTLINE_TRAINING__SEED", "2")
    training = load_settings(["training.seed=3"]).training
    assert (training.steps, training.rank, training.seed, training.alpha) == (1, 2, 3, 1)
    assert training.batch_size == Training().batch_size  # said nowhere


@pytest.mark.parametrize(("override", "value"), [("clusters.fan_out=[8, 4]", (8, 4)), ("clusters.fan_out=[8]", (8,))])
def test_a_list_can_be_set_on_the_command_line(override: str, value: tuple[int, ...]) -> None:
    assert load_settings([override]).clusters.fan_out == value


def test_text_that_looks_like_a_list_stays_text(folder: Path) -> None:
    assert load_settings(["source.events=[ab]*.csv"]).source.events == str(folder / "[ab]*.csv")


@pytest.mark.parametrize(
    ("text", "where"),
    [("steps = 1", "steps"), ("[training]\nstep = 1", "training.step"), ("[trainig]\nsteps = 1", "trainig")],
)
def test_an_unknown_key_in_the_file_is_an_error_and_named(folder: Path, text: str, where: str) -> None:
    write(folder, text)
    with pytest.raises(ValidationError) as raised:
        Settings()
    assert [".".join(map(str, problem["loc"])) for problem in raised.value.errors()] == [where]


def test_an_unknown_key_in_the_environment_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_TRAINING__STEP", "1")
    with pytest.raises(ValidationError, match=r"training\.step"):
        Settings()


def test_a_relative_path_is_made_absolute_because_a_worker_runs_elsewhere(folder: Path) -> None:
    (folder / "llm").mkdir()
    write(folder, '[source]\nevents = "log/*.parquet"\nitems = "../items.csv"\n[training]\nbase_model = "llm"')
    settings = Settings()
    assert settings.source.events == str(folder / "log" / "*.parquet")
    assert Path(settings.source.items).is_absolute()
    assert settings.training.base_model == str(folder / "llm")
    assert Settings(training={"base_model": "org/llm"}).training.base_model == "org/llm"


@pytest.mark.parametrize(
    "where", ["SELECT * FROM log.events", " with a as (select 1) from a", "from x", "s3://bucket/log/*.parquet", ""]
)
def test_queries_and_uris_are_left_alone(folder: Path, where: str) -> None:
    write(folder, f'[source]\nevents = "{where}"')
    assert Settings().source.events == where


def test_a_file_in_home_is_read_only_where_the_working_directory_has_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_HOME", str(folder / "state"))
    write(folder / "state", 'channel = "of home"')
    assert Settings().channel == "of home"
    write(folder, "drain = 5")
    assert (Settings().channel, Settings().drain.total_seconds()) == ("default", 5)


def test_a_blend_has_days_that_fit_it_and_an_engine_that_gives_scores() -> None:
    plain = Settings()
    assert (plain.rag_refresh.answers, plain.rag_refresh.windows) == ("llm", Windows(28, 7))
    blend = Settings(rag_refresh={"answers": "blend"}, fine_tune={"answers": "counts"})
    assert blend.rag_refresh.windows == Windows(28, 7, 5)
    assert blend.fine_tune.windows == Windows(90, 28, 14)
    with pytest.raises(ValueError, match=r'rag_refresh\.answers "blend" needs scores'):
        Settings(rag_refresh={"answers": "blend"}, generation={"engine": "vllm"})
