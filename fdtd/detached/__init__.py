"""Detached jobs: transfers that this daemon, as their destination, drives itself with a proxy of the user."""
