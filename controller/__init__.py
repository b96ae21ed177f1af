"""The controller: the daemon, its command line and API, judgement, incidents and evidence."""
