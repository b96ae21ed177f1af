"""How people and machines reach the daemon: the admin socket and the HTTP port.

Nothing here decides anything: requests go to the daemon through `control.Control`, and what has happened is
read from the journal.
"""
