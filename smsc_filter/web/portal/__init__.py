"""The subscriber's portal: who may write to me, what was stopped and why, and what I can do about it."""
