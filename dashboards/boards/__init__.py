"""Grafana's boards: what each shows (a module a board), and how that becomes Grafana's JSON.

`python -m dashboards.boards` writes the files under `dashboards/grafana/`; `pixeltally grafana` sends the same boards
through Grafana's HTTP API.
"""

from dashboards.boards import campaign, invalid, mail, network, pipeline
from dashboards.boards.board import Board

#: In the order that they are linked.
BOARDS: tuple[Board, ...] = (network.BOARD, campaign.BOARD, mail.BOARD, invalid.BOARD, pipeline.BOARD)

#: What an advertiser gets, of its own rows.
TENANT_BOARDS = tuple(board for board in BOARDS if board.scope)
