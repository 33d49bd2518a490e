"""Subscriptions that a provider collected by itself become ours: nothing is charged twice, and no right is lost."""
