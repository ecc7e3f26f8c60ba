//! A cluster of three real nats-servers, each of which can be killed and restarted.

use super::{
    nats_server::{NatsServer, free_port},
    wait::{PATIENCE, until},
};
use async_nats::jetstream;
use serde_json::Value;

/// How many servers the cluster has.
pub(crate) const NODES: usize = 3;

/// A cluster. Dropping it ends all its servers.
#[derive(Debug)]
pub(crate) struct NatsCluster {
    nodes: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts a cluster, and waits until it can store.
    pub(crate) async fn start() -> Self {
        let ports: Vec<u16> = (0..NODES).map(|_| free_port()).collect();
        let routes: Vec<_> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let node = |(number, port): (usize, &u16)| {
            NatsServer::not_started(&format!(
                "server_name: node-{number}\njetstream {{ store_dir: \"STORE\" }}\n\
                 cluster {{ name: test, listen: \"127.0.0.1:{port}\", routes: [{}] }}\n",
                routes.join(", ")
            ))
        };
        let mut nodes: Vec<NatsServer> = ports.iter().enumerate().map(node).collect();
        nodes.iter_mut().for_each(NatsServer::restart);
        let cluster = Self { nodes };
        until(PATIENCE, "the cluster has a leader", async || {
            let context = cluster.context().await;
            let config = jetstream::stream::Config {
                name: "READY".to_owned(),
                num_replicas: NODES,
                ..Default::default()
            };
            context.create_stream(config).await.ok()?;
            context.delete_stream("READY").await.ok()
        })
        .await;
        cluster
    }

    /// The URLs of all servers.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(NatsServer::url).collect()
    }

    /// One of the servers.
    pub(crate) fn node(&mut self, number: usize) -> &mut NatsServer {
        &mut self.nodes[number]
    }

    /// A client of the servers that run.
    pub(crate) async fn context(&self) -> jetstream::Context {
        let running = self.nodes.iter().filter(|node| node.runs());
        let urls: Vec<_> = running.map(NatsServer::url).collect();
        let client = async_nats::connect(urls).await.expect("a server of the cluster runs");
        jetstream::new(client)
    }

    /// The number of the server that leads a stream.
    pub(crate) async fn leader_of(&self, stream: &str) -> usize {
        let context = self.context().await;
        let subject = format!("STREAM.INFO.{stream}");
        until(PATIENCE, "the stream has a leader", async || {
            let info: Value = context.request(subject.clone(), &()).await.ok()?;
            let leader = info["cluster"]["leader"].as_str()?;
            leader.strip_prefix("node-")?.parse().ok()
        })
        .await
    }
}
