"""Does a moved service run as it did."""
