"""Detectors by simulation, with fixed seeds."""
