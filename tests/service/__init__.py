"""Tests of what serve is built of."""
