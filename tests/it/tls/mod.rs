//! The service under TLS of its own: its files and their replacement, handshakes of every kind of
//! peer, and the clients that people use.

mod clients;
mod files;
mod handshakes;
