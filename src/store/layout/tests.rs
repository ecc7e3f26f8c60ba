use super::*;

#[test]
fn only_file_names_of_the_layout_are_recognized() {
    for (name, file) in [
        ("master.json", Some(JobFile::Master)),
        ("repo_0.json", Some(JobFile::Repository(0))),
        ("repo_10.json", Some(JobFile::Repository(10))),
        ("repo_4294967296.json", None),
        ("repo_007.json", None),
        ("repo_.json", None),
        ("repo_+1.json", None),
        (".repo_0.json.17.tmp", None),
        ("repositories.json", None),
    ] {
        assert_eq!(JobFile::parse(OsStr::new(name)), file, "{name}");
    }
}

#[test]
fn a_symbolic_link_as_jobs_folder_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let elsewhere = root.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let link = root.path().join("jobs");
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    assert!(JobsDir::new(&link).unwrap().create(0o750).is_err());
}

#[test]
fn a_job_appears_as_a_whole_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let jobs = JobsDir::new(&root.path().join("jobs")).unwrap();
    jobs.create(0o750).unwrap();
    let plan = Plan::of([("r".to_owned(), "https://h.example/r.git".to_owned())]);
    let started = chrono::Utc::now();
    let make = |id: &JobId| {
        let kind = crate::model::master::ScanType::Repository;
        let master = Master::new(id, "https://h.example/r.git", Some(kind), vec![], started);
        jobs.create_job(id, 0o750, &master, &plan)
    };
    let ids: Vec<JobId> = (0..20).map(|_| JobId::generate()).collect();
    std::thread::scope(|scope| {
        let maker = scope.spawn(|| ids.iter().all(|id| make(id).is_ok()));
        while !maker.is_finished() {
            for id in jobs.jobs().unwrap() {
                let job = jobs.job(&id);
                for path in [job.file(JobFile::Master), job.plan(), job.path().join("locks")] {
                    assert!(path.exists(), "half a job: no {}", path.display());
                }
            }
        }
        assert!(maker.join().unwrap());
    });
    // A failed creation leaves nothing behind and changes no existing job.
    assert!(make(&ids[0]).is_err());
    assert_eq!(jobs.jobs().unwrap().len(), ids.len());
    assert_eq!(std::fs::read_dir(jobs.staging()).unwrap().count(), 0);
}
