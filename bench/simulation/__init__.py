"""Simulated users whose truth is known: the ground on which measures are calibrated and cadences compared.

It is no evidence about real users. What is assumed of them:

- A step is a move to another interest; what stays within an interest is not simulated. A user makes a Poisson number of steps a
  day, at a rate of its own (Gamma), evenly over the day.
- The next interest c after c1, c2 is drawn from a softmax (Gumbel noise) of
      popularity(c) + first(c1, c) + second(c2, c)        the world's, on that day
      + likes(user, c)                                    lasting, normal
      − satiation · how much of c the user had            each step adds 1, which halves in `half_life` days
      + curiosity(user) · [c is new to the user]
- What was recommended is likelier by `nudge`, and nothing else changes. The noise of a user's step is the same whatever was
  recommended, so that "what if we had recommended c" has one answer for every step and every c.
- Popularity or affinity (`first`, `second`) moves as its `Drift` says, at a known rate. The variance of each stays the same, so
  that no day is easier to predict than another. Likes do not move.
- An interest's items come and go, each with a lifetime; which item is taken says nothing but its interest.
"""

from bench.simulation.log import Simulated, WhatIf, simulate
from bench.simulation.world import Drift, People, World

__all__ = ["Drift", "People", "Simulated", "WhatIf", "World", "simulate"]
