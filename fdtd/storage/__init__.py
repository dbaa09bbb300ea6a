"""Storage back ends behind one small interface."""
