"""The sequence recommender's training: a small causal transformer over items, with sampled softmax."""
