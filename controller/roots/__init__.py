"""Where an outage comes from: sites, nodes, network devices and services below, as one picture. Pure.

One service is judged by `diagnose`; here the services of an estate are laid beside each other.
"""
