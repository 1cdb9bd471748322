"""The page Serve: `page` draws it from top to bottom, with the parts beside it."""
