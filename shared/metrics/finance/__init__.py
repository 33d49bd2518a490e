"""The finance pages: the same figures without Grafana, down to each entry."""
