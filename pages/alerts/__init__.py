"""The page Alerts: `page` draws it from top to bottom, with the parts beside it."""
