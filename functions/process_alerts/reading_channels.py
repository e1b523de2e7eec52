"""Reads the channels beside mail, anew after a while: their secret may change. What cannot be read now is not gone."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aws_lambda_powertools import Logger

from pqtransfer.aws.failures import CloudNotFoundError
from pqtransfer.errors import PqtransferError
from pqtransfer.operations.channels import Channel, InvalidChannelsError, read_channels

CHANNELS_LAST_SECONDS = 10.0

logger = Logger(service="process_alerts", child=True)


@dataclass
class ChannelReader:
    """The channels, as `fetch` answers their document. Held by one instance of the function, over its runs."""

    fetch: Callable[[], str]
    monotonic: Callable[[], float] = time.monotonic
    _channels: Sequence[Channel] | None = None
    _read_at: float | None = None

    def read(self) -> Sequence[Channel] | None:
        """The channels; none where there is no document, or one that nobody can use. While the document cannot be read,
        those that were read last; None where none ever were: people are told by mail, and the rest stays due."""
        at = self.monotonic()
        if self._read_at is None or at - self._read_at >= CHANNELS_LAST_SECONDS:
            self._channels, self._read_at = self._read_anew(), at
        return self._channels

    def _read_anew(self) -> Sequence[Channel] | None:
        try:
            return tuple(read_channels(self.fetch()))
        except CloudNotFoundError:
            return ()
        except InvalidChannelsError as error:
            logger.error("only mail is left", error_code=error.code, reason=str(error))
            return ()
        except PqtransferError as error:
            logger.error("the channels cannot be read now", error_code=error.code, reason=str(error))
            return self._channels
