"""PRODUCTS: one file per product, everything known about it."""
