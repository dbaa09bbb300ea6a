"""The types of a transfer: names, files, jobs, options and the orders to movers."""
