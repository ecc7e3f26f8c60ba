//! What must not get in, and what must not leak out: URLs that point to internal addresses, names
//! that change their addresses, secrets in error messages.

mod hostile;
mod rebinding;
mod secrets;
