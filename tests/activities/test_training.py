"""What makes a model version another one."""

from dataclasses import replace

from driftline.activities.training import _recipe
from driftline.contracts import CurateSamples, Retrieval, RunIds, Samples, SamplesRef, Train, Training, ValidationRef


def test_the_number_of_processes_and_of_checkpoints_makes_no_other_version() -> None:
    samples = SamplesRef(uri="file:///samples", hash="0", samples=100, labels=10)
    asked = Train(samples, Training(), CurateSamples(1, Samples(), Retrieval()), RunIds("workflow", "run"))
    shared = replace(asked, training=Training(processes=4, checkpoint_every=99))
    assert _recipe(shared) == _recipe(asked)
    validation = ValidationRef("file:///validation", "v", 2, 128, 128)
    assert _recipe(replace(asked, validation=validation)) != _recipe(asked)
    elsewhere = replace(validation, uri="file:///elsewhere")
    assert _recipe(replace(asked, validation=validation)) == _recipe(replace(asked, validation=elsewhere))
    assert _recipe(replace(asked, training=Training(rank=8))) != _recipe(asked)
    assert "processes" not in _recipe(asked)
    assert _recipe(replace(asked, training=Training(precision="float32"))) != _recipe(asked)
