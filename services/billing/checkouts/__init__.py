"""The reader's way to the payment page and back."""
