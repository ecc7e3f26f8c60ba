//! Settings with which a server does not start, and a Slurm that is away at the start.

use super::*;

/// Breaks if a server starts that can submit nothing, or does not say why.
#[tokio::test]
async fn a_server_without_slurm_or_with_wrong_settings_does_not_start() {
    let setup = Setup::new().set("engine.kind", json!("slurm")).variable("PATH", "/nonexistent");
    let ended = setup.run_to_end().await;
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    assert!(ended.output.contains("cannot run `sbatch`"), "{}", ended.output);

    let setup = Setup::new().set("slurm.sbatch_arguments", "[\"--requeue\"]");
    let ended = setup.run_to_end().await;
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    assert!(ended.output.contains("slurm.sbatch_arguments"), "{}", ended.output);

    let cluster = Cluster::start();
    for (key, value, part) in [
        ("slurm.partition", "\"nope\"", "artition"),
        ("slurm.sbatch_arguments", "[\"--nope\"]", "unrecognized option"),
    ] {
        let setup = of_cluster(&cluster, Setup::new()).set(key, value);
        let ended = setup.run_to_end().await;
        assert_eq!(ended.code, Some(2), "{}", ended.output);
        assert!(
            ended.output.contains(part) && ended.output.contains("[slurm]"),
            "{}",
            ended.output
        );
    }
}
