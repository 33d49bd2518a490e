"""Service keys: how websites and systems identify themselves."""
