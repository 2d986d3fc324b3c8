"""The chapter's exercises, each a description."""
