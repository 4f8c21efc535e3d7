"""Files to validated study objects, and back."""
