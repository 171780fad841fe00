"""Manifests: reads the contract's input tables, and decides which manifest owns a table that several name."""

from seeder.manifests.manifest import Manifest
from seeder.manifests.reading import ManifestReader
from seeder.manifests.sharing import owned

__all__ = ["Manifest", "ManifestReader", "owned"]
