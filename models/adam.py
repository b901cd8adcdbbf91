"""The Adam optimiser, for the two models that are trained by gradient descent."""

import jax
import jax.numpy as jnp


def start(params):
    """The optimiser's state before the first step."""
    zeros = jax.tree.map(jnp.zeros_like, params)
    return zeros, zeros, 0


def step(params, grads, state, rate, decay=0.0):
    """One step; `decay` shrinks the weights directly, as AdamW does."""
    mean, square, count = state
    count = count + 1
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, grads)
    square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, square, grads)
    # Both averages start from zero; these factors undo the pull towards it.
    m_fix, s_fix = 1 / (1 - 0.9**count), 1 / (1 - 0.999**count)
    params = jax.tree.map(
        lambda p, m, s: p - rate * (m * m_fix / (jnp.sqrt(s * s_fix) + 1e-8) + decay * p),
        params,
        mean,
        square,
    )
    return params, (mean, square, count)
