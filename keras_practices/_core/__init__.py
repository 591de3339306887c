"""Private helpers without any practice in them; no promise of stability."""
