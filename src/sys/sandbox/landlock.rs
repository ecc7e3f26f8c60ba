//! Restricts files, ports, signals and abstract sockets by Landlock (landlock(7)).
//!
//! Limits of the interface version that is used (6, Linux 6.12): it knows ports, not addresses; UDP
//! stays open; the metadata of a file with a known path can be read, and the working directory
//! changed; a rule opens the whole tree below its path.

use super::Rules;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope, path_beneath_rules,
};

/// The newest interface version whose rules are used; later ones are unknown.
const NEWEST: ABI = ABI::V6;

/// The interface versions, with what each added.
const BROUGHT: [(u8, &str); 5] = [
    (2, "renames between folders"),
    (3, "the truncation of files"),
    (4, "TCP ports"),
    (5, "device controls"),
    (6, "signals and abstract sockets"),
];

/// Restricts this thread and its children; returns the interface version in effect.
pub(super) fn restrict(rules: &Rules) -> Result<u8, String> {
    let all = AccessFs::from_all(NEWEST);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let run = read | AccessFs::Execute;
    let write = AccessFs::ReadFile | AccessFs::WriteFile;
    // Files in own folders are never executed, and no devices are created there.
    let own = all & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock);
    let replace =
        read | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::RemoveDir | AccessFs::Refer;
    let ports = rules.ports.iter().map(|port| Ok(NetPort::new(*port, AccessNet::ConnectTcp)));
    let beneath = |paths: &[std::path::PathBuf], access: BitFlags<AccessFs>| {
        // A path that does not exist needs no rule.
        path_beneath_rules(paths.to_vec(), access)
    };
    let restricted = Ruleset::default()
        .handle_access(all)
        .and_then(|rules| rules.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|rules| rules.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.add_rules(beneath(&rules.run, run)))
        .and_then(|ruleset| ruleset.add_rules(beneath(&rules.read, read)))
        .and_then(|ruleset| ruleset.add_rules(beneath(&rules.write, write)))
        .and_then(|ruleset| ruleset.add_rules(beneath(&rules.own, own)))
        .and_then(|ruleset| ruleset.add_rules(beneath(&rules.replace, replace)))
        .and_then(|ruleset| ruleset.add_rules(ports))
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(|error| error.to_string())?;
    match restricted.landlock {
        LandlockStatus::Available { effective_abi, .. } => {
            Ok(u8::try_from(effective_abi.min(NEWEST) as u32).unwrap_or(0))
        }
        LandlockStatus::NotEnabled => {
            Err("disabled in this kernel; add landlock to the boot parameter lsm=".to_owned())
        }
        LandlockStatus::NotImplemented => Err("not supported by this kernel".to_owned()),
    }
}

/// What an older interface version does not restrict.
pub(super) fn missing_of(abi: u8) -> impl Iterator<Item = String> {
    let missing = BROUGHT.iter().filter(move |(since, _)| *since > abi);
    missing.map(move |(since, what)| format!("{what}: Landlock {since}, this kernel has {abi}"))
}
