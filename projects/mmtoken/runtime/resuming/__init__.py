"""What a run goes on from, and exactly as if it had never stopped."""
