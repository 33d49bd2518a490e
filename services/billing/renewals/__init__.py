"""Subscriptions that go on by themselves: the clock that collects the next period, and what readers wish of them."""
