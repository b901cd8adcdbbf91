//! Several requests to the store at the same time: one after the other, a list over a network takes as long as all its answers.

use tokio::task::JoinSet;

use super::RegistryError;

/// Requests in flight.
const AT_ONCE_MAX: usize = 16;

/// What all of `asked` give, in their order, or the first failure.
pub async fn at_once<T, F>(asked: impl IntoIterator<Item = F>) -> Result<Vec<T>, RegistryError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, RegistryError>> + Send + 'static,
{
    let mut asked = asked.into_iter().enumerate();
    let mut answers = Vec::new();
    let mut asking = JoinSet::new();
    loop {
        while asking.len() < AT_ONCE_MAX
            && let Some((place, question)) = asked.next()
        {
            asking.spawn(async move { (place, question.await) });
        }
        match asking.join_next().await {
            None => break,
            Some(Ok((place, answer))) => answers.push((place, answer?)),
            // It panicked, and so do we: nobody cancels these.
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    answers.sort_by_key(|(place, _)| *place);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}
