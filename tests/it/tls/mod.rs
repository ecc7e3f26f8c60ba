//! The service with its own TLS: its files and their replacement, handshakes of every kind of peer,
//! and the clients that people use.

mod clients;
mod files;
mod handshakes;
