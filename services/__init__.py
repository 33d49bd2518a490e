"""The services: billing, paywall, ads. They never import each other."""
