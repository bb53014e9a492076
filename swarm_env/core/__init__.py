"""The rules of the market: scalar functions compiled by Numba. No I/O, no Python objects, no state of their own."""
