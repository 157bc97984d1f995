"""The lab's services beyond the first three: one file each, with how it is run and what is in it."""
