"""The page on which a trained net is played with: its server and, in ``page/``, what it shows."""
