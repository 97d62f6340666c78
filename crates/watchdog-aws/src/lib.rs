//! AWS edges.
