"""The product's words as frozen values, and the ports through which the world is touched.

Ground floor: nothing here does I/O, reads a clock or draws a random number, so that detection,
diagnosis and decision give the same output for the same input, in the daemon and in a simulator.
"""
