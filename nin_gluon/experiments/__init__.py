"""Many runs, their records, and what they say."""
