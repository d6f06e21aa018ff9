"""Predict and check: questions whose right answers come from the lab."""
