//! AWS's clock against ours, from the `Date` of its answers.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_smithy_types::date_time::{DateTime, Format};
use jiff::{SignedDuration, Timestamp};

/// What the answers said so far: that of the quickest, whose time lay the shortest on the way.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<Mutex<Option<Reading>>>);

#[derive(Debug, Clone, Copy)]
struct Reading {
    took: SignedDuration,
    off: SignedDuration,
}

/// When a try was sent, by our clock.
#[derive(Debug, Clone, Copy)]
struct Sent(Timestamp);

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

impl Clock {
    /// AWS's clock less ours; `None` where no answer said the time. An answer's time is a whole second.
    pub fn off(&self) -> Option<SignedDuration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|reading| reading.off)
    }

    /// Notes an answer of this `Date` to a try that was sent and came back at these instants of our clock.
    pub fn note(&self, date: &str, sent: Timestamp, received: Timestamp) {
        let Ok(date) = DateTime::from_str(date, Format::HttpDate) else { return };
        // Rounded down to the second by AWS: on average it was half a second later.
        let Ok(theirs) = Timestamp::from_millisecond(date.secs().saturating_mul(1000).saturating_add(500)) else {
            return;
        };
        let took = received.duration_since(sent);
        let off = theirs.duration_since(sent + took / 2);
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reading.is_none_or(|known| took < known.took) {
            *reading = Some(Reading { took, off });
        }
    }
}

#[dyn_dispatch_hint]
impl Intercept for Clock {
    fn name(&self) -> &'static str {
        "read AWS's clock"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        cfg.interceptor_state().store_put(Sent(Timestamp::now()));
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let (Some(date), Some(sent)) = (context.response().headers().get("date"), cfg.load::<Sent>()) {
            self.note(date, sent.0, Timestamp::now());
        }
        Ok(())
    }
}
