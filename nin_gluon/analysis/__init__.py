"""What can be told of a net without training it, or once it is trained."""
