"""What the site decided for this host and what the host has: configuration, accounts, paths, addresses, ports."""
