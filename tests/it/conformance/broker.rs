//! The contract of the broker, which the memory and the Redis side keep alike.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod fairness;
mod handing_out;
mod signals;
mod waiting;

/// Stamps the cases onto both sides. A case that hangs fails.
macro_rules! contract {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                tokio::time::timeout(super::super::LIMIT, super::$case(crate::support::brokers::in_memory())).await.unwrap();
            })+
        }
        mod redis {
            $(#[tokio::test]
            async fn $case() {
                tokio::time::timeout(super::super::LIMIT, super::$case(crate::support::brokers::on_redis())).await.unwrap();
            })+
        }
    };
}
use contract;

const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
