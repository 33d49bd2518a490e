"""A small newspaper website: what a website engineer does to put the paywall and ads on an existing CMS."""
