"""Random numbers that are a function of seed, purpose and number: Philox words and normal deviates.

In: a seed, a Stream, counters. Out: the same words on every machine.
Nothing here keeps a state.
"""
