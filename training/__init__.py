"""Trains, measures and promotes the models the service reads; never imported by the service."""
