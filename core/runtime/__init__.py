"""Processes: command line, supervisor and worker; and backups of a home.

This is the top layer of core: it runs the steps of all packages.
"""
