"""What guards a run: the stack, its processes, its checkpoints, safe and strict loading."""
