"""Speed and size of the market, printed and never asserted."""
