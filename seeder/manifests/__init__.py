"""Manifests: rows of the contract's input tables become frozen values, and shared tables find their owner."""

from seeder.manifests.manifest import Manifest
from seeder.manifests.reading import ManifestReader
from seeder.manifests.sharing import owned

__all__ = ["Manifest", "ManifestReader", "owned"]
