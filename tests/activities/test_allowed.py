"""A worker reads what its settings or a command of its owner's have named, and nothing that a run's input alone brings."""

from pathlib import Path

import pytest

from driftline.activities.allowed import Allowed
from driftline.contracts import BadInput, Clusters, Counting, Experiment, Metric, Source, Training
from driftline.settings import Settings

EVIL = Source(events="/events.csv", setup="COPY (SELECT 1) TO '/tmp/here'")


@pytest.fixture
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Allowed:
    monkeypatch.chdir(tmp_path)
    return Allowed(tmp_path / "home")


def test_what_nobody_named_is_refused(allowed: Allowed) -> None:
    for source in (EVIL, Source(events="/etc/passwd"), Source(positive="getenv('SECRET') = ''")):
        with pytest.raises(BadInput, match="this source is refused"):
            allowed.check_source(source)
    with pytest.raises(BadInput, match=r"this counting\.engine is refused"):
        allowed.check_source(Source(), Counting("sql:postgresql://evil.example/db"))
    with pytest.raises(BadInput, match="this model is refused"):
        allowed.check_model("/home/mallory/model")
    assert not allowed.home.exists()


def test_what_comes_with_us_is_not(allowed: Allowed) -> None:
    allowed.check_source(Source(), Counting())  # the defaults are settings, too
    allowed.check_model("smollm2")
    allowed.check_model("minilm")


def test_the_workers_settings_are_read_afresh(allowed: Allowed, tmp_path: Path) -> None:
    source = Source(events=str(tmp_path / "log.csv"), positive="n > 1")
    with pytest.raises(BadInput, match="refused"):
        allowed.check_source(source)
    (tmp_path / "driftline.toml").write_text('[source]\nevents = "log.csv"\npositive = "n > 1"\n')
    allowed.check_source(source)
    with pytest.raises(BadInput, match="refused"):
        allowed.check_source(Source(events=source.events, positive="n > 2"))
    (tmp_path / "driftline.toml").write_text("[source\n")
    with pytest.raises(RuntimeError, match="settings are wrong"):  # another attempt may find them right
        allowed.check_source(source)


def test_what_an_owners_command_named_is_known_from_then_on(allowed: Allowed) -> None:
    settings = Settings(
        source=EVIL,
        counting=Counting("sql:${LOG}"),
        training=Training(base_model="org/model"),
        clusters=Clusters(embedding_model="org/embeddings"),
    )
    allowed.add(settings)
    allowed.add(settings)
    allowed.check_source(EVIL, settings.counting)
    allowed.check_model("org/model")
    allowed.check_model("org/embeddings")
    notes = list((allowed.home / "allowed").iterdir())
    assert len(notes) == 4
    assert not [path for path in (notes[0].parent, *notes) if path.stat().st_mode & 0o077]


def test_an_experiments_exposures_and_metrics_are_named_as_a_whole(allowed: Allowed) -> None:
    ours = Experiment(exposures="/exposures.parquet", metrics={"liked": Metric("liked")})
    evil = Experiment(exposures="/exposures.parquet", metrics={"liked": Metric("length(getenv('SECRET'))")})
    allowed.add(Settings(experiment=ours))
    allowed.check_experiment(ours)
    for experiment in (evil, Experiment(setup=EVIL.setup)):
        with pytest.raises(BadInput, match="this experiment is refused"):
            allowed.check_experiment(experiment)
