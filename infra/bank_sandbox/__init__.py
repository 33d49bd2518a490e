"""A demo bank in the Stripe sandbox's process: readers transfer money here, billing is told of the credits."""
