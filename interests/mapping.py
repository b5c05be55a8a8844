"""What makes a mapping complete (design §3.2, §3.7)."""

import numpy as np
import pyarrow as pa

from driftline.contracts import BadInput
from driftline.interests import triples


def check(mapping: pa.Table, n_clusters: int) -> None:
    """A mapping answers every ordered pair once, with a cluster that is in neither place of the pair.

    Args:
        mapping: c1, c2, c_next: int32, in any order.

    Raises:
        BadInput: an answer is not novel or an id is unknown, or pairs are missing or answered twice; with examples.
    """
    answered = np.bincount(triples.read(mapping, n_clusters).pair(n_clusters), minlength=n_clusters * (n_clusters - 1))
    c1, c2 = triples.pairs(n_clusters)
    problems = []
    for what, wrong in (
        ("have no answer", np.flatnonzero(answered == 0)),
        ("have several answers", np.flatnonzero(answered > 1)),
    ):
        if len(wrong):
            problems.append(f"{len(wrong)} {what}, e.g. {', '.join(f'({c1[i]}, {c2[i]})' for i in wrong[:3])}")
    if problems:
        raise BadInput(f"of the {len(answered)} ordered pairs {'; '.join(problems)}: a mapping answers each once")
