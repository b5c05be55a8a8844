"""The definition beside each number: formula, unit of the interval, section of the paper."""

Terms = tuple[tuple[str, str], ...]

DRIFT: Terms = (
    (
        "Jaccard similarity",
        "|A ∩ B| / |A ∪ B| of two top-k successor lists of one ordered pair; below, the mean over (pair, window, later window). "
        "Intervals are 95 % bootstrap intervals over ordered pairs, a pair resampled with all its windows (paper §2.1).",
    ),
    (
        "across",
        "Users are split at random into halves A and B. (J(A now, B later) + J(B now, A later)) / 2, over pairs with the minimum "
        "support in all four halves.",
    ),
    (
        "noise ceiling",
        "(J(A, B) now + J(A, B) later) / 2 − u over the same pairs: what “across” would be if interests stood still. "
        "u corrects for two windows of unequal volume.",
    ),
    ("drift", "noise ceiling − across, paired. 0 on average where nothing moves; above 0, interests move by more than chance."),
    (
        "whole windows",
        "J(window, later window), all users on both sides: the paper's statistic, month over month mean 0.17, variance 0.07 "
        "(§2.1). It compares larger samples and the same people, so it is not to be held against the ceiling.",
    ),
    ("frequency", "A pair's successors c ranked by n(c1, c2, c), the paper's way. It moves when clusters become popular, too."),
    (
        "lift",
        "Ranked by n(c1, c2, c) · N / (n(c1, c2, ·) · n(·, ·, c)): free of popularity. It moves when a pair's affinity does.",
    ),
)
STALE: Terms = (
    (
        "same list",
        "Share of pairs whose k most frequent successors d days after the retrieval date are those of the retrieval date, in "
        "the same order (exact match, paper §3.1, Figure 3b). 95 % bootstrap intervals over ordered pairs.",
    ),
    ("same set", "The same, order aside. For k = 1 both are one."),
    (
        "what lowers it",
        "Real change, and chance: rare successors swap ranks by themselves. The window moves with the date, so the two have all "
        "but d days in common. Section 1 says whether more than chance is at work.",
    ),
)
HIT: Terms = (
    (
        "hit rate",
        "Σ [the predicted cluster of (c1, c2) appears later in the user's real sequence] / occurrences, over the neighbouring "
        "steps (c1, c2) of every user in the held-out days that something follows (paper §3.1, Figure 3a).",
    ),
    (
        "chance",
        "Hit rate of a novel cluster drawn at random: mean of (distinct clusters still to come, other than c1, c2) / (|C| − 2).",
    ),
    (
        "difference",
        "rate(a) − rate(b) in percentage points, both asked about the same occurrences. 95 % bootstrap interval over users, a "
        "user resampled with all occurrences; a beats b where it lies above 0.",
    ),
    (
        "novel to the user",
        "Share of occurrences whose predicted cluster the user had not shown before, in the period or the history.",
    ),
)
ARM: Terms = (
    ("no RAG, fixed", "One mapping of the fine-tuned model, without a retrieved line."),
    ("RAG of day 1, fixed", "The same model, told what was counted before the first held-out day."),
    ("RAG renewed", "The same, told again at every refresh what was counted up to then."),
    (
        "the counting baselines",
        "No LLM: each pair's most frequent successor (the plain frequency table), of day 1 or renewed as often, and the most "
        "popular successor of all.",
    ),
)
ANSWER: Terms = (
    (
        "identical",
        "Σ [a(c1, c2) = b(c1, c2)] / (|C|·(|C| − 1)) of two mappings a, b of the same model (paper §3.1). 95 % bootstrap "
        "intervals over ordered pairs.",
    ),
    (
        "sampled",
        "Answers drawn at the same temperature. Two samplings without RAG differ by chance alone: the noise to compare with.",
    ),
    ("greedy", "The likeliest answer: what a table stores."),
    ("repeats", "Σ [a(c1, c2) is one of the clusters that the prompt was told] / pairs whose prompt was told any."),
)
RETRIEVAL: Terms = (
    (
        "instance, global",
        "Told the successors of this very pair, or one list of the most frequent triples for all pairs (paper §2.3.1).",
    ),
    (
        "frequency, trend",
        "Ranked by n(c1, c2, c), or by the signed change of a successor's share of its pair since the window before (§2.3.2).",
    ),
    ("top k", "How many clusters the retrieved line holds; the paper found 1 to be enough (§2.3.2)."),
)
COST: Terms = (
    ("tokens trained", "Tokens of prompts and labels, once per step that they are in (fine-tune; paper §2.2)."),
    (
        "tokens forwarded",
        "Tokens fed to the LLM in bulk inference; what prompts share counts as often as it is computed (paper §2.3).",
    ),
    (
        "CPU, GPU, wall",
        "Seconds of the child processes over all their attempts: processor time, wall time with a GPU held, wall time.",
    ),
    ("asked, reused", "Pairs that the LLM answered; pairs whose very prompt it had answered before."),
    ("agility", "First publication − end of the data window. Long for a run of a past date, and with a person's review in it."),
    ("changed", "Share of pairs whose answer differs from that of the table before."),
)
QUALITY: Terms = (
    (
        "exact match",
        "Share of pairs for which free greedy decoding writes exactly one description; below the gate a person decides (§2.2).",
    ),
    (
        "recall",
        "Σ n(c1, c2, c) · [mapping(c1, c2) = c] / Σ n(c1, c2, c) over the triples of the test window (§2.2). 95 % bootstrap "
        "interval over ordered pairs.",
    ),
    (
        "frequent, popular, chance",
        "Recall of each pair's most frequent successor, of the most popular successor, and 1 / (|C| − 2).",
    ),
    (
        "effective clusters",
        "2^H, H = −Σ p(c) log2 p(c), p(c) = share of pairs answered with c. 1: every pair gets the same answer; |C|: even.",
    ),
    ("ever answered, top answer", "Distinct clusters among the answers; share of pairs that get the most frequent one."),
    (
        "hit rate, novelty",
        "On the test window: the prediction appears later in the user's sequence; the user had not shown it before (§3.1). "
        "95 % bootstrap intervals over users.",
    ),
)
