"""The processes: commands, worker, supervisor; and backups of a whole home.

The top of core: it runs the steps of every package.
"""
