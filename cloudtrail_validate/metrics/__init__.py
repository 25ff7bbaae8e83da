"""Metrics of a run: one pure value (`samples`), and a writer for each system that takes it."""
