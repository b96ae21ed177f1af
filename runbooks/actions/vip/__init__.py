"""Actions that move an address between nodes over node access: looked for before, told to neighbours after.

Uses `ip` (iproute2) and, for IPv4, `arping` (iputils-arping) on the nodes, as root.
"""
