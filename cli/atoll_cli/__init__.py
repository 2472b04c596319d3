"""The command line: thin, it calls the packages below."""
