//! The queues between stages: bounded, and slow to wake. One side that hands the other item by item costs two changes of
//! threads for each; so a sender that found its queue full sleeps on until there is room for several, and a receiver may let
//! several gather.
//!
//! ```text
//! sender     sleeps at `items_max`, goes on at `refill_at`
//! receiver   sleeps at none, goes on at `wake_at`, at an item that is urgent, at the end
//! ```
//!
//! Who sleeps with something to take does so until its time is over, at most: the line cannot stand still for longer than
//! one look at the control.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How much lies between two stages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// So many at most.
    pub(super) items_max: usize,
    /// A sender that waits goes on when so many are left, below `items_max`.
    pub(super) refill_at: usize,
    /// A receiver that waits goes on when so many are there, at least 1.
    pub(super) wake_at: usize,
}

/// The end that gives; the queue ends with the last of them.
#[derive(Debug)]
pub(super) struct Sender<T>(Arc<Shared<T>>);

/// The end that takes.
#[derive(Debug)]
pub(super) struct Receiver<T>(Arc<Shared<T>>);

/// What a receiver comes back with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received<T> {
    Item(T),
    /// Nothing came in time.
    Nothing,
    /// Nothing will come.
    Ended,
}

#[derive(Debug)]
struct Shared<T> {
    room: Room,
    state: Mutex<State<T>>,
    came: Condvar,
    went: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    senders: usize,
    senders_asleep: usize,
    receiver_gone: bool,
    receiver_asleep: bool,
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue and its two ends.
pub(super) fn queue<T>(room: Room) -> (Sender<T>, Receiver<T>) {
    debug_assert!(room.refill_at < room.items_max && (1..=room.items_max).contains(&room.wake_at));
    let shared = Arc::new(Shared {
        room,
        state: Mutex::new(State {
            items: VecDeque::new(),
            senders: 1,
            senders_asleep: 0,
            receiver_gone: false,
            receiver_asleep: false,
        }),
        came: Condvar::new(),
        went: Condvar::new(),
    });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Sender<T> {
    /// Waits for room; gives the item back where nobody will take it.
    pub(super) fn send(&self, item: T) -> Result<(), T> {
        self.give(item, false)
    }

    /// As [`Sender::send`], for an item that a receiver should not sleep over.
    pub(super) fn send_urgent(&self, item: T) -> Result<(), T> {
        self.give(item, true)
    }

    fn give(&self, item: T, urgent: bool) -> Result<(), T> {
        let mut state = self.0.state();
        while state.items.len() >= self.0.room.items_max && !state.receiver_gone {
            state.senders_asleep += 1;
            state = self.0.went.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.senders_asleep -= 1;
        }
        if state.receiver_gone {
            return Err(item);
        }
        state.items.push_back(item);
        let wakes = state.receiver_asleep && (urgent || state.items.len() >= self.0.room.wake_at);
        drop(state);
        if wakes {
            self.0.came.notify_one();
        }
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.state().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.senders -= 1;
        let last = state.senders == 0;
        drop(state);
        if last {
            self.0.came.notify_one();
        }
    }
}

impl<T> Receiver<T> {
    /// What is there; else what comes within this time.
    pub(super) fn receive(&self, within: Duration) -> Received<T> {
        let mut state = self.0.state();
        let mut until = None;
        loop {
            if let Some(item) = state.items.pop_front() {
                let refill = state.senders_asleep > 0 && state.items.len() <= self.0.room.refill_at;
                drop(state);
                if refill {
                    self.0.went.notify_all();
                }
                return Received::Item(item);
            }
            if state.senders == 0 {
                return Received::Ended;
            }
            let now = Instant::now();
            let left = until.get_or_insert(now + within).saturating_duration_since(now);
            if left.is_zero() {
                return Received::Nothing;
            }
            state.receiver_asleep = true;
            let woken = self.0.came.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            state.receiver_asleep = false;
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.receiver_gone = true;
        let left = std::mem::take(&mut state.items);
        drop(state);
        self.0.went.notify_all();
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::{Received, Room, queue};

    const LONG: Duration = Duration::from_secs(60);
    const ROOM: Room = Room {
        items_max: 4,
        refill_at: 1,
        wake_at: 3,
    };

    #[test]
    fn all_that_is_sent_is_received_in_order_and_then_the_end() {
        let (sender, receiver) = queue(ROOM);
        thread::scope(|scope| {
            scope.spawn(move || (0..1000).for_each(|item| sender.send(item).unwrap()));
            for item in 0..1000 {
                assert_eq!(receiver.receive(LONG), Received::Item(item));
            }
            assert_eq!(receiver.receive(LONG), Received::Ended);
        });
    }

    #[test]
    fn several_senders_fill_one_queue() {
        let (sender, receiver) = queue(ROOM);
        thread::scope(|scope| {
            for from in [0, 1000] {
                let sender = sender.clone();
                scope.spawn(move || (from..from + 1000).for_each(|item| sender.send(item).unwrap()));
            }
            drop(sender);
            let mut all = Vec::new();
            while let Received::Item(item) = receiver.receive(LONG) {
                all.push(item);
            }
            all.sort_unstable();
            assert_eq!(all, (0..2000).collect::<Vec<_>>());
        });
    }

    #[test]
    fn a_sender_learns_that_nobody_receives_also_while_it_waits_for_room() {
        let (sender, receiver) = queue(ROOM);
        thread::scope(|scope| {
            let waits = scope.spawn(move || (0..).find_map(|item| sender.send(item).err()));
            while receiver.0.state().senders_asleep == 0 {
                thread::yield_now();
            }
            drop(receiver);
            assert_eq!(waits.join().unwrap(), Some(4));
        });
    }

    #[test]
    fn a_receiver_sleeps_over_what_is_few_but_not_over_what_is_urgent_or_last() {
        let (sender, receiver) = queue(ROOM);
        for wake in [
            |sender: &super::Sender<_>| sender.send_urgent(2),
            |sender: &super::Sender<_>| sender.send(2).and_then(|()| sender.send(3)),
        ] {
            thread::scope(|scope| {
                let waits = scope.spawn(|| receiver.receive(LONG));
                while !receiver.0.state().receiver_asleep {
                    thread::yield_now();
                }
                sender.send(1).unwrap();
                assert!(!waits.is_finished() && receiver.0.state().receiver_asleep);
                wake(&sender).unwrap();
                assert_eq!(waits.join().unwrap(), Received::Item(1));
            });
            while receiver.0.state().items.pop_front().is_some() {}
        }
        assert_eq!(receiver.receive(Duration::from_millis(1)), Received::Nothing);
        thread::scope(|scope| {
            let waits = scope.spawn(|| receiver.receive(LONG));
            while !receiver.0.state().receiver_asleep {
                thread::yield_now();
            }
            sender.send(1).unwrap();
            drop(sender);
            assert_eq!(waits.join().unwrap(), Received::Item(1));
        });
        assert_eq!(receiver.receive(LONG), Received::Ended);
    }

    #[test]
    fn what_a_receiver_slept_over_it_takes_when_its_time_is_over() {
        let (sender, receiver) = queue(ROOM);
        thread::scope(|scope| {
            let waits = scope.spawn(|| receiver.receive(Duration::from_millis(50)));
            while !receiver.0.state().receiver_asleep {
                thread::yield_now();
            }
            sender.send(1).unwrap();
            assert_eq!(waits.join().unwrap(), Received::Item(1));
        });
    }
}
