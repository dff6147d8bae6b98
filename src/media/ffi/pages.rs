//! Pages of program files that only the start needed. Nothing of libav.
//!
//! To start, the loader reads the symbols of some 160 libraries, and the kernel counts every page that it ever mapped for
//! that against the process: when a limit is enforced, when it looks for whom to kill, in every `top`. What is needed again
//! comes back from the page cache, without the disk.

use std::ffi::{CStr, c_int, c_void};
use std::panic::catch_unwind;

use rustix::param::page_size;

/// Takes those pages out of the process's account; not under a debugger, whose breakpoints are written into them, nor where
/// walls already hide whether there is one.
pub(super) fn give_back_start() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !status.lines().any(|line| line == "TracerPid:\t0") {
        return;
    }
    // SAFETY: the callback has the right type, does not unwind, and gets no data.
    unsafe { libc::dl_iterate_phdr(Some(on_object), std::ptr::null_mut()) };
}

unsafe extern "C" fn on_object(info: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    let _ = catch_unwind(|| {
        // SAFETY: the loader passes a valid description of an object that stays loaded through the call.
        let info = unsafe { &*info };
        if info.dlpi_phdr.is_null() {
            return;
        }
        // SAFETY: the loader's own table, of that many headers.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        // The kernel's own object is no file.
        if is_vdso(info) || has_text_relocations(info, headers) {
            return;
        }
        for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD) {
            // What may be written, or was while it was relocated, is not in the file.
            if header.p_flags & libc::PF_W != 0 {
                continue;
            }
            let page = page_size();
            let start = (info.dlpi_addr as usize + header.p_vaddr as usize).next_multiple_of(page);
            let end = (info.dlpi_addr as usize + header.p_vaddr as usize + header.p_filesz as usize) / page * page;
            if start < end {
                // SAFETY: a private mapping of a file that nobody has written to: its pages read the same when they are mapped
                // again, by this thread and by all others.
                unsafe { libc::madvise(start as *mut c_void, end - start, libc::MADV_DONTNEED) };
            }
        }
    });
    0
}

fn is_vdso(info: &libc::dl_phdr_info) -> bool {
    // SAFETY: a terminated string of the loader's, or null.
    !info.dlpi_name.is_null()
        && unsafe { CStr::from_ptr(info.dlpi_name) }
            .to_bytes()
            .starts_with(b"linux-")
}

/// Whether the loader has written into what is not writable (`DT_TEXTREL`, `DF_TEXTREL`; the ELF specification).
fn has_text_relocations(info: &libc::dl_phdr_info, headers: &[libc::Elf64_Phdr]) -> bool {
    const DT_TEXTREL: i64 = 22;
    const DT_FLAGS: i64 = 30;
    const DF_TEXTREL: u64 = 4;
    let Some(dynamic) = headers.iter().find(|header| header.p_type == libc::PT_DYNAMIC) else {
        return false;
    };
    let count = dynamic.p_memsz as usize / size_of::<[u64; 2]>();
    let entries = (info.dlpi_addr + dynamic.p_vaddr) as *const [u64; 2];
    // SAFETY: an object's dynamic section is mapped and aligned for as long as it is loaded: pairs of a tag and a value.
    let entries = unsafe { std::slice::from_raw_parts(entries, count) };
    entries.iter().any(|&[tag, value]| match tag as i64 {
        DT_TEXTREL => true,
        DT_FLAGS => value & DF_TEXTREL != 0,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use rustix::param::page_size;

    use super::give_back_start;

    /// Read by nobody else; larger than what the kernel maps around a page that is asked for.
    static READ_ONCE: [u8; 1 << 19] = [7; 1 << 19];

    /// Whether the page in its middle is mapped (bit 63; pagemap, Linux's `admin-guide/mm`).
    fn is_mapped() -> bool {
        let mut entry = [0; 8];
        let page = std::hint::black_box(&raw const READ_ONCE) as usize + READ_ONCE.len() / 2;
        let pagemap = File::open("/proc/self/pagemap").unwrap();
        pagemap
            .read_exact_at(&mut entry, (page / page_size() * size_of::<u64>()) as u64)
            .unwrap();
        u64::from_ne_bytes(entry) >> 63 == 1
    }

    fn read_all() -> u64 {
        std::hint::black_box(&READ_ONCE)
            .iter()
            .map(|&byte| u64::from(byte))
            .sum()
    }

    #[test]
    fn what_the_start_alone_has_read_is_given_back_and_reads_the_same_again() {
        assert_eq!(read_all(), 7 << 19);
        assert!(is_mapped());
        give_back_start();
        assert!(!is_mapped());
        assert_eq!(read_all(), 7 << 19);
        assert!(is_mapped());
    }
}
