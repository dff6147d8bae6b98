//! SQLite: one writing connection, WAL, synchronous=FULL. To be built.
