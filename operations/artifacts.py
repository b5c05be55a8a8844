"""Files that runs have made, for whoever is no worker: found where the settings keep them, and checked."""

from collections.abc import Callable
from pathlib import Path

from driftline.activities.resources import artifacts_of
from driftline.settings import Settings


def reader(settings: Settings) -> Callable[[str, str], Path]:
    """Gives the folder of an artifact's URI and hash.

    It raises BadInput where the artifact is lost or damaged, and OSError where it cannot be seen from here.
    """
    return artifacts_of(settings.home.absolute(), settings.artifacts).find
