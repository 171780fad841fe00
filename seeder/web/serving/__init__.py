"""uvicorn around the app: where it listens, whether it may, and how much one client may hold of it."""

from seeder.web.serving.server import Exposed, PortTaken, access_of, configured, serve

__all__ = ["Exposed", "PortTaken", "access_of", "configured", "serve"]
