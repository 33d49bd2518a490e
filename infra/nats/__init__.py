"""NATS streams and consumers, as data."""
