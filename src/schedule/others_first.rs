//! Letting the tasks go first that are ready on the same thread: they are requests, too.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::yield_now;

/// Woken when the others have gone.
struct Turn {
    has_come: AtomicBool,
    task: Waker,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_come.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

/// Returns when the tasks that are ready on this thread have been polled, and the sockets have been looked at.
///
/// tokio's `yield_now` does that for a task which nobody else wakes: at its second poll it is done, whatever brought it about.
/// A connection is polled again at once when reading a body wakes it, so this one waits to be woken as one who has yielded.
pub async fn others_first() {
    let mut turn: Option<Arc<Turn>> = None;
    poll_fn(|cx| match &turn {
        Some(turn) if turn.has_come.load(Ordering::Acquire) => Poll::Ready(()),
        Some(_) => Poll::Pending,
        None => {
            let begun = Arc::new(Turn { has_come: AtomicBool::new(false), task: cx.waker().clone() });
            let waker = Waker::from(Arc::clone(&begun));
            turn = Some(begun);
            pin!(yield_now()).poll(&mut Context::from_waker(&waker))
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn who_is_ready_goes_first_however_often_the_waiting_one_is_polled() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let others = Arc::new(AtomicUsize::new(0));
        runtime.block_on(async {
            for _ in 0..10 {
                let others = Arc::clone(&others);
                tokio::spawn(async move { others.fetch_add(1, Ordering::Relaxed) });
            }
            let mut waiting = pin!(others_first());
            let mut polls = 0;
            poll_fn(|cx| {
                polls += 1;
                // As a connection does that is woken while it is polled.
                let first = waiting.as_mut().poll(cx);
                if first.is_ready() { first } else { waiting.as_mut().poll(cx) }
            })
            .await;
            assert_eq!((others.load(Ordering::Relaxed), polls), (10, 2));
        });
    }
}
