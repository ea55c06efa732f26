"""Schedules of learning rates and of weights, as pure functions of progress."""


def poly(progress: float, power: float, warmup: float = 0.0) -> float:
    """Factor on the base learning rate: linear rise over `warmup`, times (1 - progress) ** power.

    `progress` is the share of iterations done, in [0, 1). Source: IDD section 4.2 (without the rise).
    """
    assert 0 <= progress < 1
    rise = 1.0 if progress >= warmup else (progress / warmup)
    return rise * (1.0 - progress) ** power


def ramp(progress: float, start: float, end: float) -> float:
    """Factor on a term's weight: 0 before the share `start` of the training, 1 from `end` on, linear between them."""
    if progress >= end:
        return 1.0
    return max(0.0, (progress - start) / (end - start))
