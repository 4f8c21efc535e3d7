"""Synthetic B-mode images: generators bound to the fold they learnt from, how good their images are, what they add."""
