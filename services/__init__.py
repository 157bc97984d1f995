"""One folder for each product, with everything that is known about it."""
