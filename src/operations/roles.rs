//! Listing and explaining roles.
