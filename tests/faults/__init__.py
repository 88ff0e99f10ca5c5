"""What is killed in the middle of its work loses nothing."""
