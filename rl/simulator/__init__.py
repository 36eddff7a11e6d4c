"""What a schedule comes to, without running it."""
