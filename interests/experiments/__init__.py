"""Analysis of a live experiment: pure functions over sums of users, vectorised over days, metrics and simulated experiments.

Users are the unit. Whatever is divided by whatever is a ratio of two sums over users; a plain metric has the denominator 1.
"""
