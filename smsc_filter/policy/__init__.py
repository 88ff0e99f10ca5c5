"""What the rules say of one message: pure functions, one file a check."""
