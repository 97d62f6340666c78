//! The AWS edges of the Athena quota watchdog.
//!
//! One file per service: a concrete SDK client in, values of `watchdog-core` out, every failure an
//! [`failure::AwsFailure`]. Then those that use them: [`gather`] reads the world, [`deliver`] carries a plan
//! out, [`pass`] is one whole run.
//!
//! What only the operator's tool asks AWS is in `operator`, behind the feature of that name: the function is built without it.

pub mod clients;
pub mod economy;
pub mod failure;
pub mod pace;

pub mod athena;
pub mod callback;
pub mod cloudtrail;
pub mod cloudwatch;
pub mod dynamodb;
pub mod iam;
pub mod identity;
pub mod servicequotas;
pub mod ses;
pub mod ssm;

pub mod asking;
pub mod concurrency;
pub mod deliver;
pub mod flights;
pub mod gather;
pub mod granting;
pub mod pass;
pub mod submitters;
pub mod week;

#[cfg(feature = "operator")]
pub mod operator;
