"""What a process can be: one role a file. Only `__main__` imports them."""
