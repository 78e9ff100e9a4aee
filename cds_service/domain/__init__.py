"""The vocabulary of the rules: pure values and arithmetic, standard library only."""
