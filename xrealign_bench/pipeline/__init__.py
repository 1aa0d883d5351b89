"""From a plan to stored outputs."""
