"""Runs of runs: child processes in order of need, resumable, with progress."""
