"""The dataclasses that cross a workflow or activity boundary: ids, hashes, URIs and small numbers only."""

from contracts.errors import *
from contracts.jobs import *
from contracts.knobs import *
from contracts.reviews import *
from contracts.runs import *
from contracts.steps import *
from contracts.versions import *
