"""The two mover programs, reader and writer, and what they are made of."""
