"""The provider over the network."""
