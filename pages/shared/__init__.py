"""What every page draws or asks with: elements, the language, the log-in, who may ask, drafts."""
