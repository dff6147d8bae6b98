//! The cards: their contexts and their memory. Handles and device addresses are numbers that no process can reach through;
//! the bytes behind an address are here.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::codes::{Code, INVALID_CONTEXT, INVALID_VALUE, OUT_OF_MEMORY};
use crate::faults::faults;
use crate::live::{self, Kind};

/// Of a row: what FFmpeg asks for as texture alignment, and so its pitch.
pub(crate) const ALIGNMENT: usize = 512;
/// Beyond what any process can map.
const FIRST_ADDRESS: u64 = 0x00f0_0000_0000_0000;

struct Context {
    ordinal: i32,
    /// Once set, all that is asked of the context fails with it.
    error: Option<Code>,
}

struct Block {
    context: u64,
    bytes: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Primary {
    pub(crate) context: u64,
    pub(crate) users: u32,
    pub(crate) flags: u32,
}

pub(crate) struct Device {
    pub(crate) initialized: bool,
    pub(crate) primary: HashMap<i32, Primary>,
    /// Bytes a row of each array.
    pub(crate) arrays: HashMap<u64, usize>,
    contexts: HashMap<u64, Context>,
    blocks: BTreeMap<u64, Block>,
    next_address: u64,
    next_handle: u64,
    allocated_bytes: u64,
    operations: u64,
}

static DEVICE: LazyLock<Mutex<Device>> = LazyLock::new(|| {
    Mutex::new(Device {
        initialized: false,
        primary: HashMap::new(),
        arrays: HashMap::new(),
        contexts: HashMap::new(),
        blocks: BTreeMap::new(),
        next_address: FIRST_ADDRESS,
        next_handle: 0x10,
        allocated_bytes: 0,
        operations: 0,
    })
});

thread_local! {
    /// Contexts of this thread, the current one last.
    static STACK: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn device() -> MutexGuard<'static, Device> {
    DEVICE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn push(context: u64) {
    STACK.with_borrow_mut(|stack| stack.push(context));
}

pub(crate) fn pop() -> Option<u64> {
    STACK.with_borrow_mut(Vec::pop)
}

/// The current context of this thread, 0 if there is none.
pub(crate) fn current() -> u64 {
    STACK.with_borrow(|stack| stack.last().copied().unwrap_or(0))
}

impl Device {
    /// A number that was not given to anything before.
    pub(crate) fn handle(&mut self) -> u64 {
        self.next_handle += 0x10;
        self.next_handle
    }

    pub(crate) fn create_context(&mut self, ordinal: i32) -> Result<u64, Code> {
        if let Some(code) = faults().context {
            return Err(code);
        }
        let handle = self.handle();
        self.contexts.insert(handle, Context { ordinal, error: None });
        live::born(Kind::Context);
        Ok(handle)
    }

    /// Its memory goes with it; what was left in it is counted as orphans.
    pub(crate) fn destroy_context(&mut self, context: u64) -> Result<(), Code> {
        self.contexts.remove(&context).ok_or(INVALID_CONTEXT)?;
        live::died(Kind::Context);
        let left: Vec<u64> = self
            .blocks
            .iter()
            .filter(|(_, block)| block.context == context)
            .map(|(address, _)| *address)
            .collect();
        for address in left {
            live::born(Kind::Orphan);
            self.free(address)?;
        }
        STACK.with_borrow_mut(|stack| {
            if stack.last() == Some(&context) {
                stack.pop();
            }
        });
        Ok(())
    }

    pub(crate) fn ordinal(&self, context: u64) -> Result<i32, Code> {
        self.contexts
            .get(&context)
            .map(|context| context.ordinal)
            .ok_or(INVALID_CONTEXT)
    }

    /// Whether a context can be worked in.
    pub(crate) fn healthy(&self, context: u64) -> Result<(), Code> {
        let context = self.contexts.get(&context).ok_or(INVALID_CONTEXT)?;
        context.error.map_or(Ok(()), Err)
    }

    /// A copy, a memset or a launch is about to be done in the current context: the place where a card falls over.
    pub(crate) fn operate(&mut self) -> Result<(), Code> {
        let current = current();
        self.healthy(current)?;
        self.operations += 1;
        if faults().cuda_at.is_some_and(|nth| nth.strikes(self.operations)) {
            let code = faults().cuda_code;
            if let Some(context) = self.contexts.get_mut(&current) {
                context.error = Some(code);
            }
            return Err(code);
        }
        Ok(())
    }

    pub(crate) fn allocate(&mut self, context: u64, size: usize) -> Result<u64, Code> {
        self.healthy(context)?;
        if size == 0 {
            return Err(INVALID_VALUE);
        }
        if self.allocated_bytes + size as u64 > faults().memory_bytes {
            return Err(OUT_OF_MEMORY);
        }
        let address = self.next_address;
        self.next_address += (size.next_multiple_of(ALIGNMENT) + ALIGNMENT) as u64;
        self.allocated_bytes += size as u64;
        let bytes = vec![faults().fresh; size];
        self.blocks.insert(address, Block { context, bytes });
        live::born(Kind::Allocation);
        Ok(address)
    }

    pub(crate) fn free(&mut self, address: u64) -> Result<(), Code> {
        let block = self.blocks.remove(&address).ok_or(INVALID_VALUE)?;
        self.allocated_bytes -= block.bytes.len() as u64;
        self.arrays.remove(&address);
        live::died(Kind::Allocation);
        Ok(())
    }

    pub(crate) fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes
    }

    /// Whether an address could be the device's.
    pub(crate) fn owns(address: u64) -> bool {
        address >= FIRST_ADDRESS
    }

    /// Bytes of one block; an error if they reach beyond it.
    pub(crate) fn bytes(&mut self, address: u64, length: usize) -> Result<&mut [u8], Code> {
        let (start, block) = self.blocks.range_mut(..=address).next_back().ok_or(INVALID_VALUE)?;
        let from = (address - start) as usize;
        let to = from.checked_add(length).ok_or(INVALID_VALUE)?;
        block.bytes.get_mut(from..to).ok_or(INVALID_VALUE)
    }
}
