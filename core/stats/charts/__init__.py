"""Charts that more than one subject shows, in one style."""
