//! What more than one area needs.
