"""Finds, checks and loads the clinical content in `cards/`."""
