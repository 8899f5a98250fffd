"""Keys of programs, made by users with a part of their own rights."""
