"""Numbers to JSON, pictures and one page. Draws what was measured; measures nothing."""
