"""What organizations keep, and how much they may."""
