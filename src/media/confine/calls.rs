//! The filter of system calls: what no conversion and no bot ever asks for is answered with "not permitted".
//!
//! A list of what is denied, not of what is allowed: libav, its encoders and the driver of a GPU change what they call with
//! every version, and `ioctl` must stay open for the latter. What is on it starts programs, looks into other processes,
//! changes what is mounted, or has a record of holes in the kernel (io_uring, userfaultfd, bpf, keys, new namespaces).

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter, apply_filter_all_threads,
};

const DENIED: [libc::c_long; 56] = [
    // Programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Mounts and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    // Files without a name, past the rules of Landlock.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // Namespaces.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    // Parts of the kernel with a record.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_fanotify_init,
    libc::SYS_personality,
    libc::SYS_vmsplice,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    // The kernel itself.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    // The clock.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
];

/// With any of these `clone` makes more than a thread or a process.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWCGROUP,
];

/// Which sockets can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sockets {
    /// All.
    All,
    /// Those of this machine, which the driver of a GPU may want.
    Unix,
    /// None.
    None,
}

/// Who is walled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// This thread, and those that it starts.
    Thread,
    /// All threads that there are, and those that they start.
    Process,
    /// As `Thread`, in a process that has no business with any other.
    Engine,
}

/// Puts the filter in place, for good.
pub(super) fn deny(sockets: Sockets, scope: Scope) -> Result<(), String> {
    let apply = match scope {
        Scope::Thread | Scope::Engine => apply_filter,
        Scope::Process => apply_filter_all_threads,
    };
    // What `clone3` asks for lies in memory, where no filter looks; the C library then takes `clone`.
    let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let mut denied = rules(sockets)?;
    if scope == Scope::Engine {
        for (call, rules) in others()? {
            denied.entry(call).or_default().extend(rules);
        }
    }
    for (rules, errno) in [(denied, libc::EPERM), (unknown, libc::ENOSYS)] {
        let program = compile(rules, errno.unsigned_abs())?;
        apply(&program).map_err(|error| format!("seccomp: {error}"))?;
    }
    Ok(())
}

fn compile(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: u32) -> Result<BpfProgram, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), arch)
        .and_then(BpfProgram::try_from)
        .map_err(|error| error.to_string())
}

/// What would make another process, or reach one: a child that outlives its parent, a signal to the bot, its limits.
fn others() -> Result<BTreeMap<i64, Vec<SeccompRule>>, String> {
    let first = |operator, value: u32| {
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, operator, u64::from(value)).map_err(|error| error.to_string())
    };
    let rule = |conditions| SeccompRule::new(conditions).map_err(|error| error.to_string());
    let own = std::process::id();
    let not_own = || rule(vec![first(SeccompCmpOp::Ne, own)?]);
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let mut rules = BTreeMap::from([
        (
            libc::SYS_clone,
            vec![rule(vec![first(SeccompCmpOp::MaskedEq(thread), 0)?])?],
        ),
        (libc::SYS_kill, vec![not_own()?]),
        (libc::SYS_tgkill, vec![not_own()?]),
        (libc::SYS_rt_sigqueueinfo, vec![not_own()?]),
        (libc::SYS_rt_tgsigqueueinfo, vec![not_own()?]),
        (
            libc::SYS_prlimit64,
            vec![rule(vec![first(SeccompCmpOp::Ne, own)?, first(SeccompCmpOp::Ne, 0)?])?],
        ),
        (libc::SYS_tkill, Vec::new()),
        (libc::SYS_pidfd_open, Vec::new()),
        (libc::SYS_pidfd_send_signal, Vec::new()),
    ]);
    #[cfg(target_arch = "x86_64")]
    for call in [libc::SYS_fork, libc::SYS_vfork] {
        rules.insert(call, Vec::new());
    }
    Ok(rules)
}

fn rules(sockets: Sockets) -> Result<BTreeMap<i64, Vec<SeccompRule>>, String> {
    let on_first = |operator, value: libc::c_int| {
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, operator, u64::from(value.unsigned_abs()))
            .and_then(|condition| SeccompRule::new(vec![condition]))
            .map_err(|error| error.to_string())
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = DENIED.iter().map(|&call| (call, Vec::new())).collect();
    let namespaces = NAMESPACES.map(|flag| on_first(SeccompCmpOp::MaskedEq(u64::from(flag.unsigned_abs())), flag));
    rules.insert(libc::SYS_clone, namespaces.into_iter().collect::<Result<_, _>>()?);
    match sockets {
        Sockets::All => {}
        Sockets::Unix => {
            rules.insert(libc::SYS_socket, vec![on_first(SeccompCmpOp::Ne, libc::AF_UNIX)?]);
        }
        Sockets::None => {
            rules.insert(libc::SYS_socket, Vec::new());
        }
    }
    Ok(rules)
}
