"""The simulator: a virtual world that the same judgement, the same engine and the same actions are run against.

Time is virtual, chance comes from a seed, and the same seed gives the same journal byte for byte.
"""
