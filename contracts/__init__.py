"""The dataclasses that cross a workflow or activity boundary: ids, hashes, URIs and small numbers only."""

from driftline.contracts.cadence import *
from driftline.contracts.errors import *
from driftline.contracts.experiments import *
from driftline.contracts.jobs import *
from driftline.contracts.knobs import *
from driftline.contracts.notifications import *
from driftline.contracts.recommenders import *
from driftline.contracts.reviews import *
from driftline.contracts.runs import *
from driftline.contracts.steps import *
from driftline.contracts.versions import *
