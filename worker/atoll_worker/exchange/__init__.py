"""Artifacts between processes: named by digest, bound to refs, moved over gRPC."""
