"""What the test vectors are made of: the vector's types, the trail as objects in memory, and the stores it is put into."""
