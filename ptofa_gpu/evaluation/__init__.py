"""Evaluation: what the figures and tables of a report are computed from."""
