"""The programs that we are compared with, each a small class behind one interface (`benchmarks.peers.base`).

Decides the fairest way to call each of them: its own options for speed, servers that are up beforehand, the same files,
and no work that fdtcp would not do (no archives of attributes, no encryption).  None of them but fdtcp authenticates
its caller or makes anything durable by itself.
"""
