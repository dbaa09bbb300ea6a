"""The client of third-party transfers, and the words that all programs share."""
