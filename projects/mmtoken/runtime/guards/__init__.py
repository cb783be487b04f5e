"""What ends a run in time: signals, numbers that are not finite, processes that are gone."""
