from dataclasses import replace

from driftline.contracts import Evaluation, Gates
from driftline.interests.gates import judge

GOOD = Evaluation(0.95, 0.08, 0.07, 1 / 22, 0.06, 0.09, test_triples=5000, coverage=20)


def test_a_good_candidate_passes() -> None:
    assert judge(GOOD, Gates()) == GOOD


def test_each_gate_names_its_number_and_threshold() -> None:
    assert judge(replace(GOOD, exact_match_rate=0.524), Gates()).reasons == {
        "exact_match_rate": "exact-match rate 52.40% is below the 90.00% it must reach"
    }
    assert judge(replace(GOOD, recall=0.012, recall_low=0.011, recall_chance=0.001), Gates()).reasons == {
        "recall": "test-set recall 1.20% is below the 1.50% it must reach"
    }
    assert judge(replace(GOOD, recall_low=1 / 22), Gates()).reasons == {
        "recall_above_chance": "test-set recall 8.00% is not above chance (4.55%) "
        "with 95% confidence: lower bound 4.55%, n = 5000 triples"
    }


def test_thresholds_themselves_pass() -> None:
    assert (
        judge(replace(GOOD, exact_match_rate=0.9, recall=0.015, recall_low=0.014, recall_chance=0.01), Gates()).failed_gates == ()
    )


def test_a_log_of_which_the_clusters_know_too_little() -> None:
    assert judge(replace(GOOD, unknown_share=0.2), Gates()).failed_gates == ()
    judged = judge(replace(GOOD, unknown_share=0.3), Gates())
    assert judged.reasons == {
        "unknown_share": "30.00% of the events are of items that no cluster has, more than the 20.00% allowed: "
        "`driftline clusters assign` puts new items into the nearest one"
    }
    assert judge(replace(GOOD, unknown_share=0.3), Gates(max_unknown_share=0.3)).failed_gates == ()


def test_several_gates_fail_together() -> None:
    judged = judge(replace(GOOD, exact_match_rate=0.0, recall=0.0, recall_low=0.0), Gates())

    assert judged.failed_gates == tuple(judged.reasons) == ("exact_match_rate", "recall", "recall_above_chance")


def test_no_test_triple_fails_recall() -> None:
    judged = judge(replace(GOOD, recall=None, recall_low=None, test_triples=0), Gates())

    assert judged.reasons == {"recall": "not enough data: n = 0 triples in the test window"}
