"""Where records go: one small class for each kind of receiver."""
