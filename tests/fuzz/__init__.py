"""Damaged copies of every file that the package reads. `readers.py` has the table of the readers.

100 cases of each, or 300, are in the tests; ``make fuzz`` runs 20,000 of each in processes of
their own.
"""
