"""The simulator: a virtual world, in which the same judgement, engine and actions run as in the real one.

Time is virtual, chance comes from a seed, and the same seed gives the same journal byte for byte.
"""
