"""Notifications from payment providers: kept first, applied afterwards."""
