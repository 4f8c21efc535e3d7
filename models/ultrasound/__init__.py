"""Ultrasound of the liver: images and elastography to one canonical form, and what is predicted from them."""
