//! The GPUs of this process: one context each, seats for jobs, and doubt.
//!
//! A job takes a [`Seat`] for as long as a way of its plan runs on a GPU: the seat is the permit, from which the shared
//! [`Context`] is had, and both ride on the stack of the engine's call. A context that may be broken is retired: jobs that hold it
//! end with it, the next seat gets a new one. What a [`Machine`] has proven is doubted after a failure and proven again,
//! after a pause that grows while it goes on failing; nothing is believed for ever, neither good nor bad.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::diagnosis::diagnose;
use super::{Caps, Choice, Fault, Gpu, nvml, prove, seats};
use crate::media::control::Control;
use crate::media::error::MediaError;
use crate::media::ffi::{self, Device, log};
use crate::media::forecast::Experience;
use crate::media::report::Fallback;

/// GPUs that are looked for; CUDA numbers them from 0 without gaps.
const GPUS_MAX: u32 = 16;
/// The pause before what failed is proven again, doubled each time up to the longest.
const PAUSE_FIRST: Duration = Duration::from_secs(30);
const PAUSE_LONGEST: Duration = Duration::from_secs(600);
const LOOK_AT_CONTROL: Duration = Duration::from_millis(100);

static BERTHS: Mutex<BTreeMap<u32, Berth>> = Mutex::new(BTreeMap::new());
static SEAT_FREE: Condvar = Condvar::new();
static FALLBACKS: Mutex<BTreeMap<(String, String), u64>> = Mutex::new(BTreeMap::new());

/// Where one GPU lies.
#[derive(Default)]
struct Berth {
    device: Option<Device>,
    /// Raised with every context.
    epoch: u64,
    seats: u32,
    taken: u32,
}

impl Berth {
    /// How much of it is taken, thousandths.
    fn load(&self) -> u32 {
        self.taken * 1000 / self.seats.max(1)
    }

    /// The context, made where there is none. Under the lock: drivers have crashed when two were made at once.
    fn device(&mut self, gpu: u32) -> Result<Device, ffi::AvError> {
        if self.device.is_none() {
            self.device = Some(Device::open(gpu)?);
            self.epoch += 1;
        }
        match &self.device {
            Some(device) => device.share(),
            None => Err(ffi::AvError::NO_MEMORY),
        }
    }
}

fn berths() -> MutexGuard<'static, BTreeMap<u32, Berth>> {
    BERTHS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to work on a GPU.
pub(in crate::media) struct Seat {
    gpu: u32,
}

/// The context of the GPU that a seat is on.
pub(in crate::media) struct Context {
    gpu: u32,
    epoch: u64,
    device: Device,
}

impl Seat {
    pub(in crate::media) fn gpu(&self) -> u32 {
        self.gpu
    }

    /// As many more on the same GPU as are free now, `wanted` at most: for one job that keeps several engines busy. Does not
    /// wait, for who waits with a seat in hand may wait for another who does.
    pub(in crate::media) fn more(&self, wanted: u32) -> Vec<Self> {
        let mut berths = berths();
        let berth = berths.entry(self.gpu).or_default();
        let free = berth.seats.saturating_sub(berth.taken).min(wanted);
        berth.taken += free;
        (0..free).map(|_| Self { gpu: self.gpu }).collect()
    }

    /// The context that all share, made where there is none.
    ///
    /// # Errors
    /// [`MediaError::Device`] where none can be made.
    pub(in crate::media) fn context(&self) -> Result<Context, MediaError> {
        let mark = log::mark();
        let mut berths = berths();
        let berth = berths.entry(self.gpu).or_default();
        let device = berth.device(self.gpu).map_err(|error| MediaError::Device {
            device: format!("cuda:{}", self.gpu),
            cause: diagnose(&log::since(mark)),
            what: format!("make a context: {error}"),
        })?;
        Ok(Context {
            gpu: self.gpu,
            epoch: berth.epoch,
            device,
        })
    }
}

impl Context {
    pub(in crate::media) fn device(&self) -> &Device {
        &self.device
    }

    /// The context may be broken: nobody gets it any more.
    pub(in crate::media) fn retire(&self) {
        if let Some(berth) = berths().get_mut(&self.gpu)
            && berth.epoch == self.epoch
        {
            berth.device = None;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(berth) = berths().get_mut(&self.gpu) {
            berth.taken -= 1;
        }
        SEAT_FREE.notify_all();
    }
}

/// Takes a seat on the least loaded of these GPUs, waiting for one where all are taken.
///
/// # Errors
/// What [`Control::check`] says meanwhile.
pub(in crate::media) fn take(gpus: &[u32], control: &Control) -> Result<Seat, MediaError> {
    let mut berths = berths();
    loop {
        control.check()?;
        let free = gpus
            .iter()
            .copied()
            .filter_map(|gpu| {
                let berth = berths.entry(gpu).or_default();
                (berth.taken < berth.seats.max(1)).then(|| (berth.load(), gpu))
            })
            .min();
        if let Some((_, gpu)) = free {
            berths.entry(gpu).or_default().taken += 1;
            return Ok(Seat { gpu });
        }
        berths = SEAT_FREE
            .wait_timeout(berths, LOOK_AT_CONTROL)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
}

fn load(gpu: u32) -> u32 {
    berths().get(&gpu).map_or(0, Berth::load)
}

/// Ways of plans that failed on a device since the process began, by rung and by the name of the cause.
#[must_use]
pub fn fallbacks() -> BTreeMap<(String, String), u64> {
    FALLBACKS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Counts one.
pub(in crate::media) fn count(fallback: &Fallback) {
    let key = (fallback.rung.clone(), fallback.cause.clone());
    *FALLBACKS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(key)
        .or_default() += 1;
}

/// A machine whose GPUs were proven, and are again when there is reason to.
#[derive(Debug)]
pub struct Machine {
    choice: Choice,
    state: Mutex<State>,
    experience: Experience,
}

#[derive(Debug)]
struct State {
    software: Caps,
    gpus: Vec<Known>,
    /// Why there is none.
    none: Option<Known>,
}

/// What was proven, and how much it is believed.
#[derive(Debug)]
struct Known {
    gpu: Result<Gpu, Fault>,
    failures: u32,
    /// When it is proven again; `None` while there is no reason to.
    again: Option<Instant>,
}

impl Known {
    fn new(gpu: Result<Gpu, Fault>, failures_before: u32) -> Self {
        let failing = match &gpu {
            // What has no known cause may pass as well.
            Ok(gpu) => gpu.faults().any(|fault| fault.cause.is_none_or(|cause| !cause.lasts())),
            // Drivers are installed, and containers restarted, while kadr runs.
            Err(_) => true,
        };
        let failures = if failing { failures_before + 1 } else { 0 };
        Self {
            gpu,
            failures,
            again: failing.then(|| Instant::now() + pause(failures)),
        }
    }

    fn is_due(&self) -> bool {
        self.again.is_some_and(|again| Instant::now() >= again)
    }
}

fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    PAUSE_FIRST.saturating_mul(1 << doublings).min(PAUSE_LONGEST)
}

impl Machine {
    /// Proves the devices that may work.
    #[must_use]
    pub fn new(choice: Choice) -> Self {
        let (gpus, none) = look(choice, 0);
        Self {
            choice,
            state: Mutex::new(State {
                software: Caps::without_gpus(),
                gpus,
                none,
            }),
            experience: Experience::default(),
        }
    }

    /// How long conversions took here.
    #[must_use]
    pub fn experience(&self) -> &Experience {
        &self.experience
    }

    /// What may be planned with now, the least loaded GPU first. Proves again what is due.
    #[must_use]
    pub fn caps(&self) -> Caps {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(none) = &state.none
            && none.is_due()
        {
            let (gpus, none) = look(self.choice, none.failures);
            state.gpus = gpus;
            state.none = none;
        }
        for known in &mut state.gpus {
            if known.is_due()
                && let Ok(gpu) = &known.gpu
            {
                *known = Known::new(Ok(prove_again(gpu)), known.failures);
            }
        }
        let mut gpus: Vec<Gpu> = state.gpus.iter().filter_map(|known| known.gpu.clone().ok()).collect();
        gpus.sort_by_key(|gpu| (load(gpu.index), gpu.index));
        Caps {
            gpus,
            no_gpu: state.none.as_ref().and_then(|none| none.gpu.clone().err()),
            ..state.software.clone()
        }
    }

    /// Which devices may work.
    #[must_use]
    pub fn choice(&self) -> Choice {
        self.choice
    }

    /// Why no GPU serves, where one must.
    #[must_use]
    pub fn lacking(&self) -> Option<Fault> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.choice {
            Choice::Auto | Choice::Cpu => None,
            Choice::Cuda(_) => state.none.as_ref().and_then(|none| none.gpu.clone().err()),
        }
    }

    /// Jobs at once that keep all devices busy: the seats of the GPUs, or as many as the CPU's cores bear, two a job.
    #[must_use]
    pub fn jobs_at_once(&self) -> usize {
        let seats: u32 = berths().values().map(|berth| berth.seats).sum();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        match self.choice {
            Choice::Cpu => cores.div_ceil(2),
            Choice::Auto | Choice::Cuda(_) => (seats as usize).max(cores.div_ceil(2)),
        }
    }

    /// As [`Machine::doubt`], of a conversion in another process: nobody counted it here.
    pub fn doubt_from_elsewhere(&self, fallback: &Fallback) {
        count(fallback);
        self.doubt(fallback.gpu);
    }

    /// Something failed on this GPU though it was proven: before the next job it is proven again.
    pub fn doubt(&self, gpu: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for known in &mut state.gpus {
            if known.gpu.as_ref().is_ok_and(|one| one.index == gpu) && known.again.is_none() {
                known.again = Some(Instant::now());
            }
        }
    }
}

/// Contexts that no job holds go with the machine: drivers want them given back before the process ends.
impl Drop for Machine {
    fn drop(&mut self) {
        for berth in berths().values_mut().filter(|berth| berth.taken == 0) {
            berth.device = None;
        }
    }
}

/// Looks for GPUs and proves each.
fn look(choice: Choice, failures: u32) -> (Vec<Known>, Option<Known>) {
    ffi::init();
    let wanted = match choice {
        Choice::Cpu => return (Vec::new(), None),
        Choice::Auto | Choice::Cuda(None) => 0..GPUS_MAX,
        Choice::Cuda(Some(one)) => one..one.saturating_add(1),
    };
    let mut gpus = Vec::new();
    let mut none = None;
    for index in wanted {
        match prove_one(index) {
            Ok(gpu) => gpus.push(Known::new(Ok(gpu), failures)),
            Err(fault) => {
                none = Some(fault);
                break;
            }
        }
    }
    let none = none.filter(|_| gpus.is_empty());
    (gpus, none.map(|fault| Known::new(Err(fault), failures)))
}

fn prove_one(index: u32) -> Result<Gpu, Fault> {
    let device = prove::attempt(|| berths().entry(index).or_default().device(index))?;
    // After the context: without a driver there is nobody to ask.
    let told = nvml::facts().ok();
    let facts = told
        .as_ref()
        .and_then(|facts| facts.find(index, None, None))
        .map(|(facts, _)| facts);
    let mut berths = berths();
    let berth = berths.entry(index).or_default();
    // Once: later the memory in use is that of our own jobs.
    if berth.seats == 0 {
        berth.seats = seats::seats(facts);
    }
    drop(berths);
    let name = facts.map_or_else(|| format!("GPU {index}"), |facts| facts.name.clone());
    Ok(Gpu {
        encode_engines: facts.and_then(|facts| facts.engines).map(|engines| engines.nvenc),
        ..prove::prove(index, name, &device)
    })
}

/// A GPU that was proven once; where not even a context can be had, all of it fails alike.
fn prove_again(before: &Gpu) -> Gpu {
    let again = prove_one(before.index);
    match &again {
        Ok(gpu) => tracing::info!(gpu = gpu.index, "proven again"),
        Err(fault) => tracing::warn!(gpu = before.index, said = fault.said, "still failing"),
    }
    again.unwrap_or_else(|fault| before.failing(&fault))
}

#[cfg(test)]
mod tests {
    use super::{PAUSE_FIRST, PAUSE_LONGEST, pause};

    #[test]
    fn the_pause_doubles_up_to_ten_minutes() {
        assert_eq!(pause(1), PAUSE_FIRST);
        assert_eq!(pause(2), 2 * PAUSE_FIRST);
        assert_eq!(pause(100), PAUSE_LONGEST);
    }
}
