"""GSI for Pyro5: certificates, proxies, accounts and the secured channel."""
