//! A stream's entry: id, version and time of one dispatch in 28 bytes, big-endian, under one field.

use jiff::Timestamp;
use redis::Value;
use uuid::Uuid;

use crate::broker::Delivery;
use crate::domain::{Dispatch, PriorityBand, QueueName, TaskRef, Version};

const LENGTH: usize = 28;

/// What an entry carries; queue and band are the stream's.
pub(super) fn encode(dispatch: &Dispatch) -> [u8; LENGTH] {
    let mut payload = [0; LENGTH];
    payload[..16].copy_from_slice(dispatch.task.id.as_uuid().as_bytes());
    payload[16..20].copy_from_slice(&dispatch.task.version.0.to_be_bytes());
    payload[20..].copy_from_slice(&dispatch.dispatched_at.as_microsecond().to_be_bytes());
    payload
}

/// Reads it back; `None` for what this program did not write.
pub(super) fn decode(payload: &[u8], queue: &QueueName, band: PriorityBand) -> Option<Dispatch> {
    let (id, rest) = payload.split_first_chunk::<16>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let dispatched_at: [u8; 8] = rest.try_into().ok()?;
    Some(Dispatch {
        task: TaskRef { id: Uuid::from_bytes(*id).into(), version: Version(i32::from_be_bytes(*version)) },
        queue: queue.clone(),
        band,
        dispatched_at: Timestamp::from_microsecond(i64::from_be_bytes(dispatched_at)).ok()?,
    })
}

/// Entries of streams, sorted into those that can be delivered and those that this program did not write.
#[derive(Default)]
pub(super) struct Read {
    /// To be handed out.
    pub deliveries: Vec<Delivery>,
    /// The number of entries that this program did not write.
    pub strange: usize,
}

impl Read {
    /// Adds one stream entry. One that cannot be parsed is only counted.
    pub fn add(&mut self, queue: &QueueName, band: PriorityBand, payload: &[u8]) {
        match decode(payload, queue, band) {
            Some(dispatch) => self.deliveries.push(Delivery { dispatch }),
            None => self.strange += 1,
        }
    }

    /// Adds what XREADGROUP and XRANGE answer of a stream: pairs of an id and a list of fields and values.
    pub fn add_pairs(&mut self, queue: &QueueName, band: PriorityBand, entries: Vec<Value>) {
        for entry in entries {
            let Value::Array(pair) = entry else { continue };
            let Ok([_id, Value::Array(fields)]) = <[Value; 2]>::try_from(pair) else { continue };
            let payload = match fields.get(1) {
                Some(Value::BulkString(payload)) => payload.as_slice(),
                _ => &[],
            };
            self.add(queue, band, payload);
        }
    }

    /// The deliveries. Strange entries are gone from the stream and are only told of.
    pub fn into_deliveries(self) -> Vec<Delivery> {
        if self.strange > 0 {
            tracing::warn!(count = self.strange, "stream entries that Legwork did not write were deleted");
        }
        self.deliveries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TaskId;

    #[test]
    fn an_entry_reads_back_as_written_and_strange_ones_do_not() {
        let at = Timestamp::from_microsecond(1_763_712_000_123_456).unwrap();
        let queue = QueueName::parse("default").unwrap();
        let dispatch = Dispatch {
            task: TaskRef { id: TaskId::made(at), version: Version(7) },
            queue: queue.clone(),
            band: PriorityBand::Low,
            dispatched_at: at,
        };
        let payload = encode(&dispatch);
        assert_eq!(decode(&payload, &queue, PriorityBand::Low), Some(dispatch));
        assert_eq!(decode(&payload[1..], &queue, PriorityBand::Low), None);
        assert_eq!(decode(b"", &queue, PriorityBand::Low), None);
    }
}
