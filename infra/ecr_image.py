"""Where a container image stands in ECR, read from its URI."""

import re
from dataclasses import dataclass
from typing import Self

_ECR_NAME = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/"
    rf"(?P<repository>{_ECR_NAME})(?::\w[\w.-]{{0,127}}|@sha256:[0-9a-f]{{64}})?",
    re.ASCII,
)


@dataclass(frozen=True)
class EcrImage:
    """Where a container image stands in ECR."""

    account: str
    region: str
    repository: str

    @classmethod
    def parse(cls, uri: str) -> Self | None:
        """`ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY[:TAG|@DIGEST]`; None for every other form."""
        found = ECR_IMAGE.fullmatch(uri)
        return None if found is None else cls(**found.groupdict())

    @property
    def repository_arn(self) -> str:
        """The ARN of the repository."""
        return f"arn:aws:ecr:{self.region}:{self.account}:repository/{self.repository}"
