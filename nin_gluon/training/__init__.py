"""The chapter's loop and what a run needs around it."""
