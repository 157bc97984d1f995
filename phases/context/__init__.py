"""What a phase needs of the journal, the hosts and the files while it runs."""
