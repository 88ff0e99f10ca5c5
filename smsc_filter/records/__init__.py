"""Records of law, in SQL."""
