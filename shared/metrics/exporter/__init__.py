"""The Prometheus exporter: exact figures of one snapshot, or none."""
