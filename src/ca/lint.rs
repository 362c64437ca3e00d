//! What must hold of every certificate before it leaves. Pure.
