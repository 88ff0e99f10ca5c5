"""PDUs that carry text for a subscriber, read as messages."""
