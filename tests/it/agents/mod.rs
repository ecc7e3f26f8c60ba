//! Agents: attempts that a server gives to other machines, through a real nats-server.

mod chaos;
mod control;
mod cuts;
mod enrolling;
mod leases;
mod permissions;
mod running;
mod secrets;
mod stops;
