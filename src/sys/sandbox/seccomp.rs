//! Refuses system calls that a scanner never needs, by seccomp(2).
//!
//! Input: nothing. Output: a filter on this thread and its children.
//!
//! Invariants: the list names what is refused, not what is allowed: git, its libraries and the
//! resolver change with every distribution, and a call that they need one day must not break scans.
//! The refused calls reach into other processes, the kernel, mounts, namespaces or the terminal.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};
use std::collections::BTreeMap;

/// Calls that are refused with EPERM, whatever their arguments.
const REFUSED: &[libc::c_long] = &[
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
    libc::SYS_open_by_handle_at,
    // Namespaces.
    libc::SYS_unshare,
    libc::SYS_setns,
    // Keys, programs for the kernel, its modules and its counters.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    // The machine.
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_personality,
];

/// Flags of clone(2) that create a namespace.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Socket families that the resolver and git need; through netlink the resolver learns the
/// addresses of this machine.
const FAMILIES: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Requests that simulate input in the terminal (`ioctl_tty(2)`): TIOCSTI and TIOCLINUX. By number, from
/// asm-generic/ioctls.h, which all processors of seccompiler follow: the constants of libc have another type with musl.
const TERMINAL: [u64; 2] = [0x5412, 0x541c];

/// The part of a socket's type that is not a flag (socket(2)).
const SOCKET_TYPE: u64 = 0xf;

/// The bit that marks the calls of the x32 interface, which some x86-64 kernels still support.
#[cfg(target_arch = "x86_64")]
const OTHER_NUMBERS: libc::c_long = 0x4000_0000;

/// Filters the calls of this thread and its children.
pub(super) fn filter() -> Result<(), String> {
    let refused = program(refused()?, libc::EPERM)?;
    // The flags of clone3(2) are in memory, which a filter cannot read. On ENOSYS libraries fall
    // back to clone(2), whose flags are visible.
    let hidden = program(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)?;
    for program in [&hidden, &refused] {
        apply_filter(program).map_err(|error| error.to_string())?;
    }
    Ok(())
}

type Table = BTreeMap<libc::c_long, Vec<SeccompRule>>;

fn refused() -> Result<Table, String> {
    let mut table: Table = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let makes_a_namespace = NAMESPACES
        .iter()
        .map(|flag| {
            let flag = u64::from(flag.cast_unsigned());
            rule(&[(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)])
        })
        .collect::<Result<_, _>>()?;
    table.insert(libc::SYS_clone, makes_a_namespace);
    let other_families: Vec<_> = FAMILIES
        .iter()
        .map(|family| {
            let family = u64::from(family.cast_unsigned());
            (0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family)
        })
        .collect();
    let raw = u64::from(libc::SOCK_RAW.cast_unsigned());
    let is = |value| (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
    let raw_sockets = [libc::AF_INET, libc::AF_INET6].map(|family| {
        let (length, operator, family) = is(u64::from(family.cast_unsigned()));
        let masked = SeccompCmpOp::MaskedEq(SOCKET_TYPE);
        rule(&[(0, length, operator, family), (1, SeccompCmpArgLen::Dword, masked, raw)])
    });
    let mut sockets = vec![rule(&other_families)?];
    for raw in raw_sockets {
        sockets.push(raw?);
    }
    table.insert(libc::SYS_socket, sockets);
    let terminal = TERMINAL
        .iter()
        .map(|request| rule(&[(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, *request)]))
        .collect::<Result<_, _>>()?;
    table.insert(libc::SYS_ioctl, terminal);
    #[cfg(target_arch = "x86_64")]
    {
        let again: Table =
            table.iter().map(|(call, rules)| (call | OTHER_NUMBERS, rules.clone())).collect();
        table.extend(again);
    }
    Ok(table)
}

/// A rule that matches if all conditions on the arguments hold.
fn rule(conditions: &[(u8, SeccompCmpArgLen, SeccompCmpOp, u64)]) -> Result<SeccompRule, String> {
    let conditions = conditions
        .iter()
        .map(|(argument, length, operator, value)| {
            SeccompCondition::new(*argument, length.clone(), operator.clone(), *value)
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    SeccompRule::new(conditions).map_err(|error| error.to_string())
}

fn program(table: Table, errno: libc::c_int) -> Result<BpfProgram, String> {
    let architecture = std::env::consts::ARCH.try_into();
    let architecture =
        architecture.map_err(|error: seccompiler::BackendError| error.to_string())?;
    let filter = SeccompFilter::new(
        table,
        SeccompAction::Allow,
        SeccompAction::Errno(errno.cast_unsigned()),
        architecture,
    );
    filter.and_then(TryInto::try_into).map_err(|error| error.to_string())
}
