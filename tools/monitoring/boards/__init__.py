"""The dashboards: all jobs, one job, the operator, the exchange."""

from typing import Final

from tools.monitoring.board import Board
from tools.monitoring.boards import exchange, fleet, job, operators

ALL: Final[tuple[Board, ...]] = (fleet.BOARD, job.BOARD, operators.BOARD, exchange.BOARD)
