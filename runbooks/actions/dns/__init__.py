"""Actions that change what name servers answer (RFC 2136), and look at every server for the effect."""
