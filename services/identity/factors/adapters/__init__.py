"""The libraries for codes and QR pictures, and the seal of secrets at rest."""
