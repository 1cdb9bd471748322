"""Projects: those of the home, and a new one."""
