"""Numbered SQL files that build the `pixeltally` database."""
