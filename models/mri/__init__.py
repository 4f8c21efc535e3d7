"""How much fat, and how sure: the physics of multi-echo chemical-shift MRI."""
