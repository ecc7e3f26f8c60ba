//! What must not come in, and what must not get out: URLs that lead inside, names that change
//! their minds, secrets on their way through errors.

mod hostile;
mod rebinding;
mod secrets;
