"""Allocation: who sees which fund, and the proof that the answer is good."""
