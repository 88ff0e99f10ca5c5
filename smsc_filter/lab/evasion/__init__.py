"""The evasion benchmark: who is stopped, and who should not have been."""
