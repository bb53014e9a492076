"""Views of the environment for libraries that want other spaces. Each is thin, and imported only when used."""
