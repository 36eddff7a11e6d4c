"""What is optimised: pure functions of tensors, and the formula in plain text."""
