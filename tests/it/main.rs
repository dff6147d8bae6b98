//! One integration binary; a module an area.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests judge kadr from outside, with ffprobe and by starting it"
)]
#![allow(clippy::cast_precision_loss, reason = "sizes and counts of small clips")]

mod albums;
mod awkward;
mod backup;
mod bench;
mod bot;
mod cancel;
mod cli;
mod confine;
mod corpus;
mod day;
mod disk;
mod docs;
mod doctor;
mod fake_driver;
mod faults;
mod fuzz;
mod gpu;
mod health;
mod hostile;
mod isolation;
mod jobs;
mod lean;
mod local;
mod looks;
mod media;
mod partial;
mod parts;
mod plan;
mod playground;
mod playground_kinds;
mod playground_rooms;
mod playground_webhook;
mod presets;
mod privacy;
mod recovery;
mod score;
mod segment;
mod soak;
mod store;
mod structure;
mod support;
mod telegram;
mod tidy;
mod watch;
mod webhook;
mod wishes;
mod worker;
