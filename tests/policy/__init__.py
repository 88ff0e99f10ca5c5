"""What the rules say of one message."""
