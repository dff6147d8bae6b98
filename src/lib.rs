//! kadr turns any video into one that plays.
//!
//! # The line
//!
//! ```text
//! update   the listener writes each update to the inbox, and only then is it acknowledged
//! intake   pure: update -> request | question | refusal | command
//! enqueue  New | Replayed | Duplicate(of) | Cached(result); the answer in chat comes after the commit
//! claim    a job permit first, then the claim: fair over users, the attempt counted before any work
//! fetch    into the job's scratch folder
//! probe    with every safety limit
//! plan     pure; logged as one line with its reasons
//! convert  the permit rides in the blocking closure; transcode -> .part -> verify -> rename
//! deliver  the status message becomes the video; the result's file id is remembered
//! cleanup  files gone; the verdict was recorded before and cannot change any more
//! ```
//!
//! # The floors
//!
//! A module imports only from floors below its own, siblings do not import each other, and every import is spelled
//! `use crate::module::…`, one module a line, so `grep -rn 'use crate::' src` is the dependency graph.
//! `tests/it/tidy.rs` holds both rules.
//!
//! | floor | modules | knows |
//! |---|---|---|
//! | 5 | [`command`] | wires everything; each command takes only what it needs |
//! | 4 | [`config`] | the options structs of the floors below |
//! | 3 | [`worker`], [`telegram`], [`playground`], [`watch`] | meet only through the store and the courier port |
//! | 2 | [`courier`], [`store`], [`workdir`] | the job's nouns |
//! | 1 | [`job`] | the engine's nouns; pure |
//! | 0 | [`media`], [`crash`], [`metrics`] | nothing of this crate |
//!
//! # Invariants
//!
//! - `media` knows no tokio, no job, no chat: `convert`, `probe`, `bench` and `doctor` run without them.
//! - Handlers never wait for work; an update is acknowledged only after it is on disk.
//! - `unsafe` lives in `media::ffi` alone, and no FFmpeg process is ever started.
//! - Strangers' bytes are read on threads that are walled in ([`media::confine`]), or in processes that are
//!   ([`media::isolation`]).
//! - One door leads from async to blocking: [`worker`].
//! - Words that users read live in the Fluent files alone.

pub mod command;
pub mod config;
pub mod courier;
pub mod crash;
pub mod job;
pub mod media;
pub mod metrics;
pub mod playground;
pub mod store;
pub mod telegram;
pub mod watch;
pub mod workdir;
pub mod worker;
