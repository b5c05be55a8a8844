"""Which item is in which cluster of a set, with those that an assignment and the ones before it added: SQL for whoever packs it.

By itself, so that a serving process, which has no Arrow, reads the same rows as an activity.
"""

KNOWN_ITEMS = """
    SELECT item, cluster FROM cluster_item WHERE cluster_set = %(cluster_set)s
    UNION ALL
    SELECT item, cluster FROM assignment_item WHERE cluster_set = %(cluster_set)s AND assignment <= %(assignment)s
"""
