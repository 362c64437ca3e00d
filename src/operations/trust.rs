//! What anyone may know.
