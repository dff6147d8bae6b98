//! Tests of this area. To be written.
