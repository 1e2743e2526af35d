"""Data: synthetic worlds with known truth, and readers of public data sets."""
