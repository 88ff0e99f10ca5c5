"""Tests of ``smsc_filter.analysis``."""
