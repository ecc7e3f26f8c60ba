//! `GET /scan/{id}` of a finished job of 8 repositories, with credentials, compared with nginx, which serves a
//! static file with the same bytes without credentials. `wrk -t2 -c64` measures both alternately, with keep-alive.

use crate::{
    Outcome, command,
    server::{AUTHORIZATION, serve, write, write_job},
};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

const ROUNDS: usize = 7;
const SECONDS: &str = "4s";

pub(crate) fn measure() -> Outcome<()> {
    for (program, flag) in [("wrk", "-v"), ("nginx", "-v")] {
        let found = command(program).arg(flag).stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.map_err(|error| format!("this measurement needs {program}: {error}"))?;
    }
    let home = tempfile::tempdir()?;
    let jobs = home.path().join("jobs");
    write_job(&jobs, "bench", 8)?;
    let server = serve(&jobs)?;
    let body = server.get("/scan/bench", AUTHORIZATION)?;
    let nginx = Nginx::start(&home.path().join("nginx"), &body)?;
    println!("{} bytes; requests a second, scanwatch, nginx, their ratio", body.len());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let own = rate(&server.address, Some(AUTHORIZATION))?;
        let other = rate(&nginx.address, None)?;
        println!("{own:9.0} {other:9.0} {:5.2}", own / other);
        ours.push(own);
        theirs.push(other);
    }
    let (own, other) = (median(ours), median(theirs));
    println!("{own:9.0} {other:9.0} {:5.2}  the medians", own / other);
    Ok(())
}

/// The successful requests per second.
fn rate(address: &str, header: Option<&str>) -> Outcome<f64> {
    let mut wrk = command("wrk");
    wrk.args(["-t2", "-c64", "-d", SECONDS]);
    if let Some(header) = header {
        wrk.args(["-H", header]);
    }
    let output = wrk.arg(format!("http://{address}/scan/bench")).output()?;
    let report = String::from_utf8(output.stdout)?;
    if report.contains("Non-2xx") || report.contains("Socket errors") {
        return Err(report.into());
    }
    let line = report.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    Ok(line.ok_or(report.clone())?.trim().parse()?)
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

struct Nginx {
    child: Child,
    address: String,
}

impl Nginx {
    fn start(home: &Path, body: &str) -> Outcome<Self> {
        fs::create_dir_all(home.join("root/scan"))?;
        fs::create_dir_all(home.join("logs"))?;
        write(&home.join("root/scan/bench"), body)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let root = home.display();
        write(
            &home.join("nginx.conf"),
            &format!(
                "worker_processes 2;\ndaemon off;\npid {root}/nginx.pid;\nerror_log {root}/logs/error.log;\n\
                 events {{ worker_connections 1024; }}\n\
                 http {{\n\
                 access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;\n\
                 open_file_cache max=16 inactive=10m; open_file_cache_valid 10m;\n\
                 keepalive_timeout 10m; keepalive_requests 1000000000;\n\
                 default_type application/json;\n\
                 client_body_temp_path {root}/logs; proxy_temp_path {root}/logs;\n\
                 fastcgi_temp_path {root}/logs; uwsgi_temp_path {root}/logs; scgi_temp_path {root}/logs;\n\
                 server {{ listen {address}; root {root}/root; }}\n\
                 }}\n"
            ),
        )?;
        let child = command("nginx")
            .arg("-p")
            .arg(home)
            .arg("-c")
            .arg(home.join("nginx.conf"))
            .stderr(Stdio::null())
            .spawn()?;
        let nginx = Self { child, address };
        for _ in 0..500 {
            if TcpStream::connect(&nginx.address).is_ok() {
                return Ok(nginx);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err("nginx does not listen".into())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = command("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}
