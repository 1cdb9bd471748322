"""Names of the sources of raw data."""

from core.platform.messages import Message

# as choices
SOURCES = {
    "sample": Message("Built-in sample"),
    "download": Message("Download"),
    "folder": Message("Folder on this machine"),
    "upload": Message("Upload files"),
}
