"""One run split over several processes or machines, and merged again."""
