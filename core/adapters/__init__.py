"""What touches the world, one module for each part of it."""
