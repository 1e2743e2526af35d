"""Measurements side by side, each in a process of its own, kept as append-only CSV: `ptofa bench`."""
