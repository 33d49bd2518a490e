"""Bundles: so many articles that are paid for at once and chosen one by one."""
