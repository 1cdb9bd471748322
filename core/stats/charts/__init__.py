"""Charts that several subjects share, in one style."""
