"""Reporting: notebooks run by Papermill, figures, and the report they become."""
