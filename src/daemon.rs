//! Wires a configuration into a running daemon, and ends it in order.
