//! What only the operator's tool asks: paging, what is absent, what is denied, and the bounds.

mod clock;
mod crowd;
mod iam;
mod past;
mod services;
