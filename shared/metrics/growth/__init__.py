"""Growth against the frozen baseline and the target: to date, projected, still needed."""
