"""The paywall's own copy of who may read what, fed by billing's events."""
