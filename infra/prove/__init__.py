"""The proof of the deployment without Docker: the compose file walked as data, the real image, a namespace for every container."""
