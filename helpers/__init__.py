"""The thin package behind the notebooks: taught modules, and plumbing that they never import."""
