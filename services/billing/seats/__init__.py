"""Groups: a subscription that is for several readers. Its owner pays; each further reader has a seat, and reads while the owner does."""
