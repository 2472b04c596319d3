"""What Atoll is made of: that its locks are whole, under which licences, with which known faults."""
