"""Documents made from the code: settings and metrics. ``python -m infra.docs`` writes them."""
