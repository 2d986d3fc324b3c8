"""What can be said about a net: before it is trained, and once it is."""
