use super::*;
use crate::sys::pressure::{MemoryLeft, Stall};
use proptest::{collection::vec, prelude::*};

const GIB: u64 = 1 << 30;

fn calm() -> Pressure {
    Pressure {
        memory: Some(Stall::default()),
        io: Some(Stall::default()),
        cpu: Some(Stall::default()),
        memory_left: Some(MemoryLeft { free: 8 * GIB, total: 16 * GIB }),
        load: Some(0.5),
        cpus: 2,
    }
}

fn stalled(full: f64) -> Pressure {
    Pressure { memory: Some(Stall { some: full, full }), ..calm() }
}

fn waiting_for_disks(full: f64) -> Pressure {
    Pressure { io: Some(Stall { some: full, full }), ..calm() }
}

/// Samples every two seconds, with full use of the slots.
struct Machine {
    controller: Controller,
    now: Duration,
    ended: f64,
    changes: Vec<(Duration, usize)>,
}

impl Machine {
    fn new(ceiling: usize) -> Self {
        Self {
            controller: Controller::new(ceiling),
            now: Duration::ZERO,
            ended: 0.0,
            changes: Vec::new(),
        }
    }

    /// Lets time pass, with this pressure and throughput for each number of slots.
    fn pass(
        &mut self,
        seconds: u64,
        pressure: impl Fn(usize) -> Pressure,
        rate: impl Fn(usize) -> f64,
    ) -> usize {
        for _ in 0..seconds / 2 {
            let before = self.controller.slots();
            self.now += Duration::from_secs(2);
            self.ended += 2.0 * rate(before);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
            let work = Work { running: before, queued: 99, ended: self.ended as u64 };
            self.controller.on_sample(self.now, &pressure(before), work);
            let after = self.controller.slots();
            if after != before {
                self.changes.push((self.now, after));
            }
        }
        self.controller.slots()
    }
}

#[expect(clippy::cast_precision_loss, reason = "small")]
fn as_rate(slots: usize) -> f64 {
    slots as f64
}

/// Fails if scarce memory does not lower the number, or if the number does not come back.
#[test]
fn scarce_memory_lowers_the_slots_step_by_step_and_they_come_back_one_by_one() {
    let mut machine = Machine::new(8);
    assert_eq!(machine.pass(60, |_| calm(), as_rate), 8);
    assert_eq!(machine.pass(2, |_| stalled(14.0), as_rate), 7);
    let cause = machine.controller.cause().unwrap();
    assert_eq!((cause.resource, cause.figures.as_str()), (Resource::Memory, "full avg10 14 %"));
    assert_eq!(machine.pass(6, |_| stalled(14.0), as_rate), 7, "the averages lag behind");
    assert_eq!(machine.pass(60, |_| stalled(14.0), as_rate), 1);
    assert_eq!(machine.pass(600, |_| stalled(14.0), as_rate), 1, "never none");
    assert_eq!(machine.pass(60, |_| stalled(3.0), as_rate), 1, "neither scarce nor enough");
    machine.changes.clear();
    assert_eq!(machine.pass(120, |_| calm(), as_rate), 8);
    let steps: Vec<_> = machine.changes.iter().map(|(_, slots)| *slots).collect();
    assert_eq!(steps, [2, 3, 4, 5, 6, 7, 8]);
    assert!(machine.controller.cause().is_none());
}

/// Fails if the number falls one by one while memory runs out within seconds.
#[test]
fn memory_that_runs_out_halves_the_slots() {
    let left = |free| Pressure {
        memory_left: Some(MemoryLeft { free, total: 16 * GIB }),
        memory: None,
        ..calm()
    };
    let mut machine = Machine::new(16);
    assert_eq!(machine.pass(2, |_| left(GIB / 4 * 3), as_rate), 16, "between");
    assert_eq!(machine.pass(2, |_| left(GIB / 8), as_rate), 8);
    assert_eq!(machine.controller.cause().unwrap().figures, "128 of 16384 MiB free");
    assert_eq!(machine.pass(12, |_| left(GIB / 8), as_rate), 1);
}

/// Fails if so many scans start at once that their memory is gone before the next sample.
#[test]
fn no_more_scans_start_than_there_is_memory_for() {
    let left = MemoryLeft { free: 180 << 20, total: 600 << 20 };
    let pressure = Pressure { memory_left: Some(left), ..calm() };
    let mut controller = Controller::new(8);
    let idle = Work::default();
    controller.on_sample(Duration::from_secs(2), &pressure, idle);
    assert_eq!(controller.slots(), 3);
    assert_eq!(controller.cause().unwrap().figures, "180 of 600 MiB free");
    for second in 2..100 {
        controller.on_sample(Duration::from_secs(2 * second), &pressure, idle);
    }
    assert_eq!(controller.slots(), 3, "no more than before");
    for second in 100..200 {
        controller.on_sample(
            Duration::from_secs(2 * second),
            &pressure,
            Work { running: 3, ..idle },
        );
    }
    assert_eq!(controller.slots(), 6, "what runs is counted already");
}

/// Fails if slots that nobody uses are taken away before those that take memory.
#[test]
fn lowering_begins_at_the_slots_in_use() {
    let mut controller = Controller::new(32);
    let work = Work { running: 4, queued: 0, ended: 0 };
    controller.on_sample(Duration::from_secs(2), &stalled(50.0), work);
    assert_eq!(controller.slots(), 2);
}

/// Fails if the number goes up and down for ever while each slot more is one too many.
#[test]
fn a_number_that_proved_too_high_is_tried_again_later_and_later() {
    let mut machine = Machine::new(8);
    let pressure = |slots: usize| if slots > 3 { stalled(12.0) } else { stalled(0.0) };
    machine.pass(3600, pressure, as_rate);
    let first = machine.changes.iter().filter(|(at, _)| at.as_secs() < 600).count();
    let last = machine.changes.iter().filter(|(at, _)| at.as_secs() >= 3000).count();
    assert!(first < 24 && last <= 6, "{:?}", machine.changes);
    let highest = machine.changes.iter().skip(8).map(|(_, slots)| *slots).max();
    assert_eq!(highest, Some(4), "one more than fits, at most: {:?}", machine.changes);
}

/// Fails if waiting for disks that the scanners cause themselves costs throughput.
#[test]
fn waiting_for_disks_lowers_nothing_that_would_be_missed() {
    let mut machine = Machine::new(6);
    machine.pass(3600, |_| waiting_for_disks(60.0), as_rate);
    let lowered: u64 = machine
        .changes
        .windows(2)
        .filter(|pair| pair[0].1 < 6)
        .map(|pair| pair[1].0.as_secs() - pair[0].0.as_secs())
        .sum();
    assert!(lowered <= 100, "{lowered} s of an hour: {:?}", machine.changes);
    assert_eq!(machine.controller.slots(), 6);
}

/// Fails if overloaded disks get no relief although that costs nothing, or if more than half of the
/// slots go, or if they do not come back.
#[test]
fn waiting_for_disks_lowers_what_is_not_missed_and_at_most_half() {
    let mut machine = Machine::new(6);
    assert_eq!(machine.pass(200, |_| waiting_for_disks(60.0), |_| 5.0), 3);
    let cause = machine.controller.cause().unwrap();
    assert_eq!((cause.resource, cause.figures.as_str()), (Resource::Io, "full avg10 60 %"));
    assert_eq!(machine.pass(60, |_| calm(), |_| 5.0), 6);
    assert!(machine.controller.cause().is_none());
}

/// Fails if a load of others that the scanners give way to anyway slows them down, or if long scans,
/// whose throughput cannot be measured, are judged by chance.
#[test]
fn some_load_of_others_and_long_scans_lower_nothing() {
    let busy = |load: f64| Pressure {
        cpu: Some(Stall { some: 99.0, full: 0.0 }),
        load: Some(load),
        ..calm()
    };
    let mut machine = Machine::new(6);
    assert_eq!(machine.pass(600, |_| busy(9.0), |_| 5.0), 6, "two processors, six scanners");
    assert_eq!(machine.pass(600, |_| busy(40.0), |_| 0.2), 6);
    assert!(machine.changes.is_empty());
    assert_eq!(machine.pass(200, |_| busy(40.0), |_| 5.0), 3);
    assert_eq!(machine.controller.cause().unwrap().figures, "load 40 on 2 processors");
}

/// Fails if a raised ceiling is used late, or a lowered one not at once.
#[test]
fn the_slots_follow_the_ceiling() {
    let mut controller = Controller::new(5);
    controller.set_ceiling(9);
    assert_eq!((controller.slots(), controller.cause()), (9, None));
    controller.set_ceiling(0);
    assert_eq!(controller.slots(), 1);
    let mut machine = Machine::new(8);
    machine.pass(20, |_| stalled(9.0), as_rate);
    let lowered = machine.controller.slots();
    assert!(lowered < 8);
    machine.controller.set_ceiling(64);
    assert_eq!(machine.controller.slots(), lowered, "the pressure stays");
    machine.controller.set_ceiling(2);
    assert_eq!((machine.controller.slots(), machine.controller.cause()), (2, None));
}

/// Fails if a kernel that reports nothing stops or slows the scans.
#[test]
fn without_figures_nothing_changes() {
    let mut machine = Machine::new(4);
    assert_eq!(machine.pass(600, |_| Pressure::default(), as_rate), 4);
    assert!(machine.changes.is_empty());
}

fn any_pressure() -> impl Strategy<Value = Pressure> {
    let stall =
        || prop::option::of((0.0..100.0, 0.0..100.0).prop_map(|(some, full)| Stall { some, full }));
    let left = prop::option::of(
        (0..32 * GIB, 0..32 * GIB).prop_map(|(free, total)| MemoryLeft { free, total }),
    );
    (stall(), stall(), stall(), left, prop::option::of(0.0..200.0), 0_usize..65).prop_map(
        |(memory, io, cpu, memory_left, load, cpus)| Pressure {
            memory,
            io,
            cpu,
            memory_left,
            load,
            cpus,
        },
    )
}

proptest! {
    /// Fails if any sequence of samples stops all scans, exceeds the ceiling, raises by more than one
    /// slot, or lowers without a cause.
    #[test]
    fn the_number_stays_in_its_range(
        ceiling in 1_usize..257,
        samples in vec((any_pressure(), 0_u64..120, 0_usize..300, 0_usize..3, 0_u64..50), 1..300),
    ) {
        let mut controller = Controller::new(ceiling);
        let (mut now, mut all) = (Duration::ZERO, 0);
        for (pressure, seconds, running, queued, ended) in samples {
            let before = controller.slots();
            now += Duration::from_secs(seconds);
            all += ended;
            controller.on_sample(now, &pressure, Work { running, queued, ended: all });
            let slots = controller.slots();
            prop_assert!((1..=ceiling).contains(&slots));
            prop_assert!(slots <= before + 1);
            prop_assert_eq!(slots < ceiling, controller.cause().is_some());
        }
    }
}
