"""What a run will reach, before the compute is spent."""
