//! Damaged and hostile files by the thousand: each ends in a result or a refusal, in time. Our own parsers are fed in the
//! same way, with what strangers say.
//!
//! A `kadr convert` process takes a batch of mutants, one after another behind its walls, and says one line of each at
//! its end: where it dies or hangs, the first that it has not said is at fault, and the rest goes to the next process.
//! `ci/fuzz` plays it at full size (`KADR_FUZZ`); here it is short.

mod mutants;
mod mutate;
mod parsers;
mod seeds;

use mutate::{Dice, mutate};

/// Bytes of a parser's kind, then mutations of them; what must hold is asserted by the parsers' own functions.
fn feed(parser: fn(&[u8]), seeds: &[&[u8]], count: u64) {
    for seed in seeds {
        parser(seed);
    }
    for number in 0..count {
        let mut dice = Dice::of(6, number);
        let (one, other) = (seeds[dice.below(seeds.len())], seeds[dice.below(seeds.len())]);
        parser(&mutate(one, other, &mut dice));
    }
}

#[test]
fn whatever_headers_claim_the_walk_ends_within_its_bounds() {
    let seeds = seeds::clips();
    let seeds = seeds.iter().map(|seed| seed.bytes.as_slice());
    // Of larger clips the most is media, which the walk leaps over.
    let seeds: Vec<&[u8]> = seeds.filter(|bytes| bytes.len() < 16_384).collect();
    feed(parsers::structure, &seeds, 2_000);
}

#[test]
fn whatever_is_said_is_understood_or_said_back_in_short() {
    let seeds: Vec<&[u8]> = include_str!("words/words.txt").lines().map(str::as_bytes).collect();
    feed(parsers::words, &seeds, 20_000);
}

#[test]
fn whatever_the_platform_sends_is_read_or_passed_over() {
    let words = include_str!("words/words.txt").lines();
    let updates = include_str!("words/updates.txt").lines();
    let seeds: Vec<&[u8]> = words.chain(updates).map(str::as_bytes).collect();
    feed(parsers::update, &seeds, 3_000);
}

#[test]
fn whatever_stands_in_the_settings_is_read_or_refused_in_words() {
    let seeds = [include_bytes!("words/kadr.toml").as_slice()];
    feed(parsers::settings, &seeds, 3_000);
}
