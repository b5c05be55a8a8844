"""How many interests a mapping's answers are spread over."""

import numpy as np
from scipy.special import entr

from driftline.interests.pairs import Ints


def entropy(answers: Ints) -> float:
    """Shannon entropy of answers, in bits: −Σ p(c) · log2 p(c), where p(c) is the share of them that is c."""
    n = np.unique(answers, return_counts=True)[1]
    return float(entr(n / n.sum()).sum() / np.log(2))


def effective_clusters(answers: Ints) -> float:
    """2 ** entropy: equally frequent answers that would have this entropy."""
    return float(2 ** entropy(answers))
