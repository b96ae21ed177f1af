"""Actions on a cluster that Patroni manages: Patroni moves the primary, this product asks it to (S14)."""
