"""What keeps a long run alive, and what answers bad input with one sentence."""
