"""From counts to the tables that a fine-tune learns from and is validated on, prompts rendered (design §3.4, paper §2.2)."""

from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa

from driftline import contracts
from driftline.interests import prompts, samples
from driftline.interests.retrieval import Retrieved, retrieve

RETRIEVED = 0.5
"""Share of the validation pairs whose prompt has the retrieved line: the model is to answer fine-tunes and refreshes."""


@dataclass(frozen=True)
class Curation:
    """Curates samples of a training window, and its validation set.

    Attributes:
        counts: c1, c2, c_next: int32, n: int64; of the training window.
        descriptions: of every cluster, by id.
    """

    counts: pa.Table
    descriptions: list[str]
    knobs: contracts.Samples
    retrieval: contracts.Retrieval

    @cached_property
    def retrieved(self) -> Retrieved:
        """Retrieved successors of every pair, from the training window."""
        # A training window has no window before it to show a trend against.
        return retrieve(self.counts, None, replace(self.retrieval, similarity="frequency"), len(self.descriptions))

    def curate(self, counts: pa.Table) -> pa.Table:
        return samples.curate(counts, self.knobs.pairs_per_label, self.knobs.prompts_per_interest)

    def rendered(self, curated: pa.Table) -> pa.Table:
        """The samples' prompts and labels."""
        return prompts.samples_table(self.descriptions, curated, self.retrieved, self.knobs.retrieved_share)

    def validation(self, counts: pa.Table) -> dict[str, pa.Table]:
        """The validation set of a training, by file name: `samples` of a later window's counts, curated as the training's,
        with the training window's retrieved lines; `pairs` to ask; `labels`."""
        asked = samples.draw_pairs(len(self.descriptions), self.knobs.validation_size)
        share = RETRIEVED if self.knobs.retrieved_share else 0.0
        return {
            "samples": self.rendered(samples.thin(self.curate(counts), self.knobs.validation_size)),
            "pairs": prompts.pairs_table(self.descriptions, asked, self.retrieved, share),
            "labels": pa.table({"description": self.descriptions}),
        }
