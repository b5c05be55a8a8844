"""The definition beside each number: formula, unit of the interval, section of the paper."""

Terms = tuple[tuple[str, str], ...]

SEQUENCE: Terms = (
    (
        "sequence",
        "The clusters of a user's positive events in one window [start, end), in UTC, in order of time; nothing outside the "
        "window counts, and no item without a cluster. All events of a basket have the time of its first in the window. “dedup” "
        "under “Computed from”: “first” keeps a cluster's first time in the window only, “adjacent” joins repeats in a row. Ties "
        "in time are ordered by the hexadecimal md5 of “user time cluster”, time in microseconds since 1970.",
    ),
    (
        "triple",
        "Three neighbouring steps (c1, c2, c_next) of one sequence, c_next ≠ c1. n(c1, c2, c_next) counts them, a dot sums over "
        "all clusters; a pair's support is n(c1, c2, ·).",
    ),
)
DRIFT: Terms = (
    (
        "windows, lag",
        "Whole calendar months in UTC that the log covers, or measures.window_days each, back from the end; the newest "
        "measures.windows of them (25). The lag is how many windows later the other one is.",
    ),
    (
        "Jaccard similarity",
        "|A ∩ B| / |A ∪ B| of two top-k successor lists of one ordered pair; lists shorter than k are compared as they are. "
        "Below, the mean over (pair, window, later window), of halves also over the ways to halve. "
        "Intervals are 95 % bootstrap intervals over ordered pairs, a pair resampled with all its windows (paper §2.1).",
    ),
    (
        "halves",
        "Users are put into quarters by the first hexadecimal digit of the md5 of “half of ” and their id: 0–3, 4–7, 8–b, c–f, "
        "the same in every window. The three ways to make two halves A and B of four quarters are averaged.",
    ),
    (
        "across",
        "(J(A now, B later) + J(B now, A later)) / 2, over pairs with the minimum support in all four halves.",
    ),
    (
        "noise ceiling",
        "(J(A, B) now + J(A, B) later) / 2 − u over the same pairs: what “across” would be if interests stood still. "
        "The raw ceiling is that without − u.",
    ),
    (
        "u",
        "What windows of unequal volume alone take from “across” and not from the ceiling: read off, by the four supports, from "
        "what thinning one half of a window does to J(A, B) inside it (interests/metrics/volume.py). 0 for equal volumes.",
    ),
    (
        "drift",
        "noise ceiling − across, paired. 0 on average where nothing moves. Pairs share users, so its interval over pairs is too "
        "narrow to say whether anything moves.",
    ),
    (
        "moved",
        "With x(c) = n(c1, c2, c) / n(c1, c2, ·): Σ h·|x now − x later|² / Σ h·(|x now − u|² + |x later − u|²), u uniform over "
        "the novel clusters, h the harmonic mean of the pair's occurrences in both windows, over pairs with the minimum support "
        "in both. Only products of different sixteenths of the users (the first hexadecimal digit) enter, so that sampling noise "
        "takes no part: 0 where nothing moves, 1 where nothing is left. By lift, x is less what the clusters' popularity in its "
        "window explains. 95 % interval: jackknife over the sixteenths. p: how often as much moves with the signs of the "
        "sixteenths' changes drawn at random; the lags are judged together (Holm).",
    ),
    (
        "whole windows",
        "J(window, later window), all users on both sides: the paper's statistic, month over month mean 0.17, variance 0.07 "
        "(§2.1). Over pairs with the minimum support in both whole windows; the variance is of the single similarities. It "
        "compares larger samples and the same people, so it is not to be held against the ceiling.",
    ),
    (
        "frequency",
        "A pair's successors c ranked by n(c1, c2, c), the paper's way; equal ones by a splitmix64 hash of the triple "
        "(interests/triples.py), the smaller first. It moves when clusters become popular, too.",
    ),
    (
        "lift",
        "Ranked by n(c1, c2, c) · N / (n(c1, c2, ·) · n(·, ·, c)), N = n(·, ·, ·), all counted in the very half or window that "
        "is ranked; equal ones by n, then by the hash. Free of popularity: it moves when a pair's affinity does.",
    ),
    (
        "comparisons",
        "(pair, window, later window) with the minimum support in all four halves, for one of the three ways to halve or more.",
    ),
)
STALE: Terms = (
    (
        "same list",
        "Share of pairs whose k most frequent successors d days after the retrieval date are those of the retrieval date, in "
        "the same order (exact match, paper §3.1, Figure 3b). Ranked as by frequency in section 1, from the window that ends on "
        "the day; lists shorter than k are compared as they are. 95 % bootstrap intervals over ordered pairs.",
    ),
    ("same set", "The same, order aside. For k = 1 both are one."),
    ("which pairs", "Those with the minimum support on the retrieval date, whatever becomes of them later."),
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
        "steps (c1, c2) of every user in the held-out days that something follows (paper §3.1, Figure 3a). The sequences are of "
        "the held-out days alone, “later” is after c2. An occurrence belongs to the UTC day of c2, and is predicted by the "
        "version that serves at the time of c2.",
    ),
    (
        "chance",
        "Hit rate of a novel cluster drawn at random: mean of (distinct clusters still to come, other than c1, c2) / (|C| − 2).",
    ),
    (
        "difference",
        "rate(a) − rate(b) in percentage points, both asked about the same occurrences. 95 % bootstrap interval over users, a "
        "user resampled with all occurrences; a beats b where it is above 0 by Holm's test over all differences measured here.",
    ),
    (
        "novel to the user",
        "Share of occurrences whose predicted cluster the user had not shown in all of the log before, up to and including c2.",
    ),
)
ARM: Terms = (
    ("no RAG, fixed", "One mapping of the fine-tuned model, without a retrieved line."),
    (
        "RAG of day 1, fixed",
        "The same model, retrieving from what was counted in the rag_refresh.days before the first held-out day.",
    ),
    ("RAG renewed", "The same, retrieved anew at every refresh from what was counted in the rag_refresh.days up to then."),
    (
        "the counting baselines",
        "No LLM, the same counts. The counting model: the likeliest c under (n(c1, c2, c) + m·b(c)) / (n(c1, c2, ·) + m), where "
        "b ∝ p(c|c1) · p(c|c2) / p(c), each shrunk to popularity; the strengths are chosen by leaving out each triple in turn. "
        "Plain frequency: each pair's most frequent successor (the plain frequency table). Both of day 1, or renewed as often; "
        "for a pair never seen, the most popular one: the c with the largest n(·, ·, c) other than c1 and c2. That most popular "
        "successor alone is renewed as often, too. Equal ones are ordered by the hash of section 1, "
        "the most popular by that of (c, c, c).",
    ),
)
FRONTIER: Terms = (
    (
        "recall",
        "Σ [the predicted cluster is c_next] / triples, over the triples (c1, c2, c_next) of the held-out days (paper §2.2). "
        "95 % bootstrap interval over users. Chance: 1 / (|C| − 2).",
    ),
    (
        "effective clusters",
        "2^H, H = −Σ p(c) log2 p(c), p(c) = share of ordered pairs answered with c; of a mapping that is renewed, over all its "
        "versions together.",
    ),
    (
        "new to the user",
        "Share of occurrences whose predicted cluster the user had not shown in all of the log before, up to and including c2.",
    ),
    (
        "uptake",
        "Share of occurrences whose predicted cluster is new to the user and appears later in the user's sequence: interests "
        "taken up. Chance: mean of (distinct new clusters still to come) / (|C| − 2).",
    ),
    (
        "unbeaten",
        "No other mapping is at least as good in recall and in effective clusters (spread), or in recall and in the share new "
        "to the user (novelty), and better in one. Values count as measured, noise and all.",
    ),
    (
        "pair seen",
        "n(c1, c2, ·) in the window that the table was made from; in the replay, in the one before the first held-out day.",
    ),
)
ANSWER: Terms = (
    (
        "identical",
        "Σ [a(c1, c2) = b(c1, c2)] / n, over the n pairs with a retrieved line, of two mappings a, b of one model (paper §3.1). "
        "95 % bootstrap intervals over ordered pairs.",
    ),
    (
        "with a retrieved line",
        "Ordered pairs whose RAG prompt has a retrieved line, of the triples of the rag_refresh.days before the period. The "
        "others have the same prompt with RAG and without, and are in no share. A global list tells all pairs the same.",
    ),
    (
        "sampled",
        "Answers drawn at the same temperature. Two samplings without RAG differ by chance alone: the noise to compare with.",
    ),
    ("greedy", "The likeliest answer: what a table stores."),
    ("repeats", "Σ [a(c1, c2) is one of the clusters on the retrieved line] / n. Not measured for a global list."),
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
        "interval over users (of tables measured by earlier releases over ordered pairs).",
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
        "no cluster",
        "Share of the positive events that are of items in no cluster: of the table's window or of the test window, whichever "
        "is larger.",
    ),
    (
        "hit rate, novelty",
        "On the test window: the prediction appears later in the user's sequence; the user had not shown it before (§3.1). "
        "95 % bootstrap intervals over users.",
    ),
)
