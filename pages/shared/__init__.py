"""Shared by the pages: elements, navigation, visits, jobs, the language, the log-in, drafts."""
