"""`atoll top`: the islands of one run or job on the screen, again and again."""
