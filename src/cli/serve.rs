//! `scanwatch serve`: runs the service until a signal stops it.

use super::{Exit, SettingsArgs, logging, output, start_checks};
use crate::{
    api::{
        Api, Parts,
        auth::{Auth, ConnectionContext},
        connections::{limits::Limits, request_metrics::RequestMetrics, server},
        reloaded_files::keep_current,
        resources::findings::FromFiles,
        routes::{paths, routes},
        tls::Tls,
    },
    app::{Engine, StartError},
    config::{Config, Reloader},
    live::LiveJob,
    sbom::{Budget, Document, Format},
    store::chain,
    sys::{
        self,
        service_manager::{self, NOTIFY_VARIABLE, ServiceState},
    },
    webhooks::Documents,
};
use chrono::Utc;
use clap::Args;
use signal_hook::consts;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[derive(Debug, Args)]
#[command(after_help = super::exit::CODES_OF_SERVE)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Address and port, instead of [server] listen.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The jobs folder, instead of [jobs] dir.
    #[arg(long, value_name = "FOLDER")]
    jobs_dir: Option<String>,
}

pub(super) fn run(args: ServeArgs) -> Exit {
    // From here on SIGHUP ends nothing, whatever is configured. `serve` installs the handler that
    // reloads; what arrives before is made up for then.
    let missed = Arc::new(AtomicBool::new(false));
    let _ = signal_hook::flag::register(consts::SIGHUP, Arc::clone(&missed));
    let mut flags = Vec::new();
    flags.extend(args.listen.map(|address| ("server.listen".to_owned(), address)));
    flags.extend(args.jobs_dir.map(|folder| ("jobs.dir".to_owned(), folder)));
    let (settings, config) = match args.settings.reloadable(flags) {
        Ok(loaded) => loaded,
        Err(refused) => {
            output::print_error(&refused.to_string());
            return Exit::Usage;
        }
    };
    logging::start(config.log);
    sys::close_descriptors_on_exec();
    if let Err(error) = sys::protect_memory() {
        tracing::warn!(%error, "other processes of this user can read the server's memory");
    }
    sys::raise_descriptor_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::print_error(&format!("cannot start the runtime: {error}"));
            return Exit::Usage;
        }
    };
    let served = runtime.block_on(serve(config, settings, &missed));
    // Threads that still block read for no client; the next start finds interrupted writes, because
    // every file is replaced atomically.
    runtime.shutdown_background();
    match served {
        Ok(()) => Exit::Done,
        Err(error) => {
            output::print_error(&chain(&error));
            match error {
                StartError::Locked(_) => Exit::Locked,
                StartError::QueueEnded => Exit::Failed,
                _ => Exit::Usage,
            }
        }
    }
}

async fn serve(config: Config, settings: Reloader, missed: &AtomicBool) -> Result<(), StartError> {
    let started_at = Utc::now();
    let hangup = signal(SignalKind::hangup());
    let missed = missed.load(Ordering::Relaxed);
    let auth = Arc::new(start_checks::accounts(&config)?);
    let tls = start_checks::certificate(&config)?.map(Arc::new);
    let address = config.server.listen;
    let at = |source| StartError::Listen { address, source };
    // Bind first, so that a port in use is detected before the recovery.
    let listener = TcpListener::bind(address).await.map_err(at)?;
    let address = listener.local_addr().map_err(at)?;
    let archive = start_checks::archive(&config).await?;
    let mut engine = Engine::start(config, archive).await?;
    let schedules = engine.start_schedules().await;
    let shutdown = CancellationToken::new();
    let tasks = TaskTracker::new();
    // Set by a signal: distinguishes a requested stop from a failure of the queue.
    let stopped = CancellationToken::new();
    tasks.spawn(stop_on_signals(shutdown.clone(), stopped.clone()));
    match hangup {
        Ok(hangup) => engine.reload_on(hangup, settings, missed),
        Err(error) => {
            tracing::error!(%error, "cannot handle SIGHUP: settings are read at the start only");
        }
    }
    let config = engine.config.get();
    let every = config.auth.reload_interval;
    if config.auth.has_files() {
        tasks.spawn(keep_current(Arc::clone(&auth), every, shutdown.clone()));
    }
    engine.test_isolation();
    let documents = bills_of_materials(&engine);
    engine.start_webhooks(Documents::new(documents.clone()));
    engine.start_archive(documents);
    if let Some(tls) = &tls {
        tasks.spawn(keep_current(Arc::clone(tls), every, shutdown.clone()));
    }
    print_banner(&engine, address, &auth, tls.as_deref());
    notify_manager(ServiceState::Ready);

    let settings = config.server.clone();
    let limits = Limits {
        max_connections: settings.max_connections,
        header_timeout: settings.header_timeout,
        body_timeout: settings.body_timeout,
        write_timeout: settings.write_timeout,
        max_body_bytes: settings.max_body_bytes,
        stop_grace: settings.stop_grace,
    };
    let request_metrics = Arc::new(RequestMetrics::new(paths()));
    let parts = Parts {
        config: engine.config.clone(),
        live: Arc::clone(&engine.live),
        nudger: engine.nudger.clone(),
        results: Arc::clone(&engine.results),
        packages: Arc::clone(&engine.packages),
        plans: Arc::clone(&engine.plans),
        archived: Arc::clone(&engine.archived),
        jobs: engine.jobs().clone(),
        supervisor: engine.supervisor.clone(),
        intake: engine.intake.clone(),
        schedules,
        isolation: Arc::clone(&engine.isolation),
        auth: Arc::clone(&auth),
        tls: tls.clone(),
        request_metrics: Arc::clone(&request_metrics),
        started_at,
        space: Arc::clone(&engine.space),
        webhooks: engine.webhooks.clone(),
        archive: engine.archive.clone(),
        unread: Arc::clone(&engine.unread),
        shutdown: shutdown.clone(),
    };
    let service = routes(Api::new(parts), &auth);
    // Stop the scanners at once, not after the last request.
    let ((), report) = tokio::join!(
        async {
            tokio::select! {
                () = shutdown.cancelled() => {
                    notify_manager(ServiceState::Stopping);
                    engine.supervisor.stop(settings.stop_grace).await;
                }
                // Without its queue the server would accept jobs and start none.
                () = engine.supervisor.ended() => shutdown.cancel(),
            }
        },
        server::serve(
            listener,
            tls,
            service,
            ConnectionContext::new,
            limits,
            request_metrics,
            shutdown.clone()
        ),
    );
    let in_order = stopped.is_cancelled();
    engine.stop(settings.stop_grace).await;
    tracing::info!(served = report.served, dropped = report.dropped, "stopped");
    if in_order { Ok(()) } else { Err(StartError::QueueEnded) }
}

/// Makes the bills of materials that webhooks upload and that the archive has.
fn bills_of_materials(
    engine: &Engine,
) -> impl Fn(&Arc<LiveJob>, u32) -> Document<'static> + Clone + Send + Sync + 'static {
    let (results, live) = (Arc::clone(&engine.results), Arc::clone(&engine.live));
    move |job, index| {
        let (live, of) = (Arc::clone(&live), Arc::clone(job));
        let is_there = move || live.get(of.id()).is_some_and(|job| Arc::ptr_eq(&job, &of));
        let repositories = [vec![index], Vec::new()];
        let findings = FromFiles::new(&results, job, repositories, Box::new(is_there));
        Document::new(Format::CycloneDx, None, findings, Utc::now(), Budget::default())
    }
}

/// Prints the server's address and how to use it, with warnings.
fn print_banner(engine: &Engine, address: SocketAddr, auth: &Auth, tls: Option<&Tls>) {
    let base = format!("{}://{address}", if tls.is_some() { "https" } else { "http" });
    let config = engine.config.get();
    let files = &config.auth;
    let login = if auth.is_open() {
        ""
    } else if files.htpasswd_file.is_some() {
        " -u USER"
    } else if files.tokens_file.is_some() {
        " -u token"
    } else {
        " -u \"$API_USERNAME:$API_PASSWORD\""
    };
    let public = &config.server.public_url;
    let page = if public.is_empty() { &base } else { public };
    let home =
        if config.server.dashboard { format!("  page     {page}/\n") } else { String::new() };
    let mut text = format!(
        "scanwatch {} listens on {base}\n\
         \x20 files    {}/\n\
         {home}\
         \x20 API      {page}/docs\n\
         \x20 submit   curl{login} {base}/scan --json '{{\"git_url\": \"https://github.com/owner/name.git\"}}'\n\
         \x20 watch    scanwatch watch --server {base} JOB_ID\n\
         \x20 events   curl{login} -N {base}/scan/JOB_ID/events\n\
         \x20 metrics  curl{login} {base}/metrics",
        env!("CARGO_PKG_VERSION"),
        engine.jobs().root().display(),
    );
    for warning in start_checks::warnings(&config, auth, tls) {
        text.push_str("\n  warning: ");
        text.push_str(&warning);
    }
    output::print_message(&text);
    tracing::info!(%address, confinement = engine.isolation.confinement().as_str(), "serving");
}

/// Notifies the service manager, if there is one.
fn notify_manager(state: ServiceState) {
    if let Some(socket) = std::env::var_os(NOTIFY_VARIABLE)
        && let Err(error) = service_manager::notify(&socket, state)
    {
        tracing::warn!(?socket, %error, "cannot notify the service manager of {state:?}");
    }
}

/// The first signal stops the server in order, the second one at once.
async fn stop_on_signals(shutdown: CancellationToken, stopped: CancellationToken) {
    let signals = signal(SignalKind::terminate()).and_then(|terminate| {
        signal(SignalKind::interrupt()).map(|interrupt| (terminate, interrupt))
    });
    let Ok((mut terminate, mut interrupt)) = signals else {
        tracing::error!(
            "cannot install signal handlers: the first signal ends this process at once"
        );
        return;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if shutdown.is_cancelled() {
            // Nothing is lost: running scans continue, and the next server adopts them.
            std::process::exit(130);
        }
        tracing::info!("stopping; a second signal stops at once");
        stopped.cancel();
        shutdown.cancel();
    }
}
