"""Money that goes back by bank transfer: asked for, approved, paid."""
