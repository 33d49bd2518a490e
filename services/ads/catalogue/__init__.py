"""What can be sold: advertisers, placements, products and their dated rates."""
