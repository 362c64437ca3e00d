//! The single writer with group commit.
