"""What a daemon must still know after it was killed: its SQLite files."""
