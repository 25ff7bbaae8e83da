"""What test vectors are made of: their types, the trail as objects in memory, and the stores it is put into."""
