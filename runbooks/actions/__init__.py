"""One file per action. An action touches the world only through the ports of its context."""
