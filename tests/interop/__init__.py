"""Real clients that nobody here wrote, through the relay."""
