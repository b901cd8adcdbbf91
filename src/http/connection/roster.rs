//! The connections that are open on a port: at most so many, and who goes when there are too many.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::activity::Activity;

/// How long a newcomer waits between attempts to make room.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(50);

/// Of the connections that could go, one in so many goes at once, so that looking for them stays cheap in a flood.
const SHARE_THAT_GOES: usize = 100;

/// The open connections of a port.
///
/// When all places are taken, newcomers are let in at the expense of those that keep a place without using it: first the ones
/// that never sent a whole request, then the ones between requests; of each, the longest waiting first. A connection with a
/// request in progress is never closed for this.
#[derive(Debug)]
pub struct Roster {
    places: Arc<Semaphore>,
    max_connections: usize,
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    taken: HashMap<u64, Arc<Activity>>,
    next_id: u64,
}

/// A connection's place, until dropped.
#[derive(Debug)]
pub struct Seat {
    pub activity: Arc<Activity>,
    id: u64,
    roster: Arc<Roster>,
    _place: OwnedSemaphorePermit,
}

impl Roster {
    pub fn new(max_connections: usize) -> Arc<Roster> {
        // More than the semaphore can count is more than there can be sockets.
        let max_connections = max_connections.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Arc::new(Roster {
            places: Arc::new(Semaphore::new(max_connections)),
            max_connections,
            seats: Mutex::new(Seats::default()),
        })
    }

    /// A place for a connection, as soon as there is one.
    pub async fn admit(self: &Arc<Self>) -> Seat {
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return self.seat(place);
            }
            self.make_room();
            if let Ok(Ok(place)) = timeout(ATTEMPT_INTERVAL, Arc::clone(&self.places).acquire_owned()).await {
                return self.seat(place);
            }
        }
    }

    /// Asks every connection to end after the request that it is in.
    pub fn retire(&self) {
        self.seats.lock().taken.values().for_each(Activity::retire);
    }

    /// Waits until every connection has ended.
    pub async fn emptied(&self) {
        let all = u32::try_from(self.max_connections).unwrap_or(u32::MAX);
        drop(self.places.acquire_many(all).await);
    }

    fn seat(self: &Arc<Self>, place: OwnedSemaphorePermit) -> Seat {
        let activity = Activity::new(Instant::now());
        let mut seats = self.seats.lock();
        let id = seats.next_id;
        seats.next_id += 1;
        seats.taken.insert(id, Arc::clone(&activity));
        Seat { activity, id, roster: Arc::clone(self), _place: place }
    }

    fn make_room(&self) {
        let seats = self.seats.lock();
        let mut idle: Vec<_> =
            seats.taken.values().filter(|activity| !activity.is_busy() && !activity.should_leave()).collect();
        let count = idle.len().div_ceil(SHARE_THAT_GOES);
        if count == 0 {
            return;
        }
        idle.select_nth_unstable_by_key(count - 1, |activity| (activity.begun() > 0, activity.waiting_since()));
        idle[..count].iter().for_each(|activity| activity.leave());
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.roster.seats.lock().taken.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seats(roster: &Arc<Roster>, count: usize) -> Vec<Seat> {
        let mut seats = Vec::new();
        for _ in 0..count {
            seats.push(roster.admit().await);
        }
        seats
    }

    fn asked_to_leave(seats: &[Seat]) -> Vec<usize> {
        (0..seats.len()).filter(|index| seats[*index].activity.should_leave()).collect()
    }

    #[tokio::test]
    async fn who_never_asked_for_anything_goes_first_and_who_is_being_served_stays() {
        let roster = Roster::new(3);
        let seats = seats(&roster, 3).await;
        drop(seats[0].activity.begin());
        let _in_progress = seats[1].activity.begin();
        roster.make_room();
        assert_eq!(asked_to_leave(&seats), [2]);
        roster.make_room();
        assert_eq!(asked_to_leave(&seats), [0, 2]);
        roster.make_room();
        assert_eq!(asked_to_leave(&seats), [0, 2], "nobody is left who could go");
    }

    #[tokio::test]
    async fn a_newcomer_takes_the_place_of_one_that_leaves() {
        let roster = Roster::new(200);
        let mut seats = seats(&roster, 200).await;
        let newcomer = tokio::spawn({
            let roster = Arc::clone(&roster);
            async move { roster.admit().await }
        });
        while asked_to_leave(&seats).is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(asked_to_leave(&seats).len(), 2, "a hundredth");
        seats.retain(|seat| !seat.activity.should_leave());
        drop(newcomer.await.expect("it is seated"));
        drop(seats);
        roster.emptied().await;
        assert!(roster.seats.lock().taken.is_empty());
    }
}
