"""Networks that no well-kept library has."""
