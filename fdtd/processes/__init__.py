"""Movers as processes: how one gets to run as an account, and its pipes and its end."""
