"""Tests of what ``serve`` is made of."""
