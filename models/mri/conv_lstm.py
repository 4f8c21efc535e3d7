"""What lets a network read echoes as a sequence: a convolutional LSTM, and a norm that echo times adapt."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

ECHO_TIME_UNIT_S = 0.01
"""Echo times enter a network in this unit, so that they are of order one."""
N_ECHO_TIME_UNITS = 6
"""Units of the LSTM that reads the echo times."""


class ConvLSTM2d(nn.Module):
    """Long short-term memory whose products are convolutions; it reads any number of echoes and keeps the last state.

    i, f, o = σ(W·[x_n, h]),  g = tanh(W·[x_n, h]),  c ← f·c + i·g,  h ← o·tanh(c)

    Args:
        in_channels: Channels of one echo.
        n_features: Channels of the state.
        kernel_size: Odd; the state keeps the size of the image.
    Source: Shi X et al., Advances in Neural Information Processing Systems 2015, arXiv:1506.04214, eq. 3, without the
        peepholes.
    """

    def __init__(self, in_channels: int, n_features: int, kernel_size: int = 3):
        super().__init__()
        self.n_features = n_features
        self.from_input = nn.Conv2d(in_channels, 4 * n_features, kernel_size, padding=kernel_size // 2)
        self.from_state = nn.Conv2d(n_features, 4 * n_features, kernel_size, padding=kernel_size // 2, bias=False)
        with torch.no_grad():
            # A memory that starts out kept learns what early echoes say.
            self.from_input.bias[n_features : 2 * n_features] = 1.0

    def forward(self, echoes: torch.Tensor) -> torch.Tensor:
        """Read the echoes in order.

        Args:
            echoes: Shape (batch, n_echoes, in_channels, x, y).
        Returns:
            State after the last echo, shape (batch, n_features, x, y).
        """
        drives = self.from_input(echoes.flatten(0, 1)).unflatten(0, echoes.shape[:2])
        state = memory = None
        for drive in drives.unbind(1):
            if state is not None:
                drive = drive + self.from_state(state)
            take, keep, show, new = drive.split(self.n_features, dim=1)
            memory_in = torch.sigmoid(take) * torch.tanh(new)
            memory = memory_in if memory is None else torch.sigmoid(keep) * memory + memory_in
            state = torch.sigmoid(show) * torch.tanh(memory)
        return state


class EchoTimeEncoder(nn.Module):
    """The echo times of a scan as one short code, by an LSTM over them."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, N_ECHO_TIME_UNITS, batch_first=True)

    def forward(self, echo_times_s: torch.Tensor) -> torch.Tensor:
        """Shape (batch, n_echoes), seconds, to a code of shape (batch, N_ECHO_TIME_UNITS)."""
        _, (state, _) = self.lstm(echo_times_s[..., None] / ECHO_TIME_UNIT_S)
        return state[0]


class AdaptiveInstanceNorm(nn.Module):
    """Each channel with mean and deviation of its own taken away, and others, read from a code, given.

    y = (1 + a)·(x - mean)/deviation + b,  [a, b] = dense(code)

    Args:
        n_channels: Channels of the features.
        n_code: Length of the code.
    Source: Huang X, Belongie S, ICCV 2017, 10.1109/ICCV.2017.167, eq. 8.
    """

    def __init__(self, n_channels: int, n_code: int):
        super().__init__()
        self.dense = nn.Linear(n_code, 2 * n_channels)

    def forward(self, features: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        """Features of shape (batch, n_channels, x, y) and a code of shape (batch, n_code) to adapted features."""
        scale, shift = self.dense(code)[..., None, None].chunk(2, dim=1)
        return (1 + scale) * functional.instance_norm(features) + shift
