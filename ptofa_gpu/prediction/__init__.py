"""Prediction: from an exposure log to E, the expected revenue of every (customer, fund) pair."""
