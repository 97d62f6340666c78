//! What only the operator's tool asks: paging, what is absent, what is denied, and the bounds.

mod clock;
mod iam;
mod past;
mod services;
