"""Likelihood: the variational bound, the exact density of the probability flow, and entropies of the reverse steps."""

from sfumato.evaluate.likelihood.entropy import conditional_entropy, conditional_entropy_bounds
from sfumato.evaluate.likelihood.exact import dequantized, exact, hutchinson, in_bits, log_likelihood
from sfumato.evaluate.likelihood.terms import Terms, variational_bound

__all__ = [
    "Terms",
    "conditional_entropy",
    "conditional_entropy_bounds",
    "dequantized",
    "exact",
    "hutchinson",
    "in_bits",
    "log_likelihood",
    "variational_bound",
]
