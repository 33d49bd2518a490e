"""Lower prices for whoever knows a code."""
