"""Shared by the pages: elements, the language, the log-in, access, drafts."""
