"""Dialogue in place of the market: language models as policies, prompts as contexts, safety judges as ground truth.

Tokens are int64, and PAD (-1, no token of any vocabulary) where there is none: prompts (n, P) are padded on the left,
what policies say (n, L) on the right. What was sampled is kept as ids and never tokenised again.
"""
