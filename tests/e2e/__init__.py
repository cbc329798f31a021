"""The wall-screen in a real Chromium, on real boards."""
