"""The contract between the user, the operator and the workers.

Data only: types, names and the rules that join them. Standard library and pydantic;
nothing here opens a file, a socket or a clock.
"""
