"""Tests of ``smsc_filter.watch``."""
