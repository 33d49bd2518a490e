"""What is shown: native texts and checked images, each belonging to a line."""
