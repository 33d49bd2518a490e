"""Renewals that went through, applied hundreds at a time: the plain case only, with the same result as one by one."""
