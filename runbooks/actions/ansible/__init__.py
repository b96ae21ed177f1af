"""Playbooks of Ansible: the optional extra `bcm-failover[ansible]`."""
