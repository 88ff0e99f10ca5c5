"""Builds stores, checks, relay and web, then runs them: a supervisor and its children."""
