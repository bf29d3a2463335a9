"""The drawn things of the world, one family a module. Each takes (painter, scene, light) and draws where it stands."""
