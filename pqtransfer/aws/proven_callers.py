"""Who calls a function, as AWS itself has authenticated it: not as the caller says.

Lambda does not tell a function who invoked it. So the caller signs a request to STS (`GetCallerIdentity`), and hands
the function the signature in place of sending it; the function sends it, and STS says whose it is. The caller's secret
never leaves it. The request is built by the function alone: all that it takes from the caller is the time, the session
token and the signature. What is signed names the function and the digest of what it is asked for, so a signature is
good for that call, and for five minutes; sent again, it asks for the same once more.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pqtransfer.aws.clients import Session
from pqtransfer.aws.invocation import LambdaFunction, RemoteFunction
from pqtransfer.crypto.canonical_json import JsonObject, write_canonical_json
from pqtransfer.errors import AccessError, UnavailableError

if TYPE_CHECKING:
    from botocore.credentials import Credentials

    AskSts = Callable[[AWSRequest], tuple[int, bytes]]

PROOF_FIELD = "caller_proof"
FUNCTION_HEADER, DIGEST_HEADER = "x-pqtransfer-function", "x-pqtransfer-request-sha256"
TIME_FORMAT = "%Y%m%dT%H%M%SZ"
CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
BODY = b"Action=GetCallerIdentity&Version=2011-06-15"
GOOD_FOR = timedelta(minutes=5)
TIMEOUT_SECONDS = 5
ANSWER_LIMIT_BYTES = 64 << 10
_ARN = re.compile(
    rb"<GetCallerIdentityResult>.*<Arn>(arn:[!-;=?-~ ]{1,2000})</Arn>.*</GetCallerIdentityResult>", re.DOTALL
)


class CallerNotProvenError(AccessError):
    """A call came with a proof of its caller that does not hold."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"who calls is not proven: {reason}. Call again, with a clock that is right and credentials that are valid"
        )


class CallerUnknownError(UnavailableError):
    """Whether a proof holds cannot be told now."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"AWS does not say who calls ({reason}); the same call may succeed later")


class CallerProof(BaseModel):
    """What a caller hands over: when it signed, by which credentials, and the signature."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    signed_at: Annotated[str, Field(pattern=r"^\d{8}T\d{6}Z$")]
    session_token: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/=_-]{1,8192}$")] | None = None
    authorization: Annotated[str, Field(min_length=1, max_length=1024)]


class StsPlace:
    """The one place where identities are asked for: STS in the region of the deployment, at a pinned address."""

    def __init__(self, session: Session, *, region: str | None = None, endpoint_url: str | None = None) -> None:
        """
        Args:
            endpoint_url: of the embedded cloud. Otherwise the session's, or AWS's own for the region.
        """
        client = session.client("sts", region_name=region, endpoint_url=endpoint_url)
        self.region = client.meta.region_name
        own = client.meta.endpoint_url
        self.url = f"https://sts.{self.region}.amazonaws.com/" if ".amazonaws.com" in own else own.rstrip("/") + "/"

    def make_request(self, signed_at: str, *, function: str, digest: str, session_token: str | None) -> AWSRequest:
        """The request, all but its signature."""
        token = {} if session_token is None else {"X-Amz-Security-Token": session_token}
        headers = {
            "Content-Type": CONTENT_TYPE,
            "X-Amz-Date": signed_at,
            FUNCTION_HEADER: function,
            DIGEST_HEADER: digest,
            **token,
        }
        return AWSRequest("POST", self.url, data=BODY, headers=headers)

    def signature_of(self, authorization: str, *, signed_at: str, has_token: bool) -> re.Match[str] | None:
        """The header's parts, if it is a signature for this place and day under every header that counts."""
        names = ["content-type", "host", "x-amz-date", *(["x-amz-security-token"] if has_token else [])]
        signed = ";".join([*names, FUNCTION_HEADER, DIGEST_HEADER])
        scope = rf"{signed_at[:8]}/{re.escape(self.region)}/sts/aws4_request"
        return re.fullmatch(
            rf"AWS4-HMAC-SHA256 Credential=[A-Za-z0-9]{{1,128}}/{scope}, "
            rf"SignedHeaders={re.escape(signed)}, Signature=[0-9a-f]{{64}}",
            authorization,
        )


class SignerAt(SigV4Auth):
    """Signs at a time that is given: the clock is the caller's."""

    def add_auth(self, request: AWSRequest) -> None:
        request.context["timestamp"] = request.headers["X-Amz-Date"]
        canonical = self.canonical_request(request)
        signature = self.signature(self.string_to_sign(request, canonical), request)
        headers = self.signed_headers(self.headers_to_sign(request))
        scope = self.scope(request)
        request.headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={headers}, Signature={signature}"
        )


def sign_call(
    credentials: "Credentials",
    request: JsonObject,
    *,
    function: str,
    place: StsPlace,
    at: datetime,
) -> CallerProof:
    """The proof that whoever has these credentials asks `function` for `request`."""
    frozen: Any = (
        credentials.get_frozen_credentials() if hasattr(credentials, "get_frozen_credentials") else credentials
    )
    signed_at = at.astimezone(UTC).strftime(TIME_FORMAT)
    asked = place.make_request(signed_at, function=function, digest=digest_request(request), session_token=frozen.token)
    SignerAt(frozen, "sts", place.region).add_auth(asked)
    return CallerProof(
        signed_at=signed_at, session_token=frozen.token, authorization=str(asked.headers["Authorization"])
    )


def digest_request(request: JsonObject) -> str:
    """SHA-256 of the canonical JSON of a request without its proof, in hexadecimal."""
    return hashlib.sha256(write_canonical_json({k: v for k, v in request.items() if k != PROOF_FIELD})).hexdigest()


def take_proof(request: JsonObject) -> tuple[JsonObject, object | None]:
    """A request without its proof, and the proof. What is no JSON object is left as it is: its reader refuses it."""
    if not isinstance(request, dict):
        return request, None
    return {name: value for name, value in request.items() if name != PROOF_FIELD}, request.get(PROOF_FIELD)


def prove_caller(
    request: JsonObject, *, function: str, place: StsPlace, now: datetime, ask: "AskSts | None" = None
) -> str | None:
    """The ARN of whoever asks for `request`, by its proof; None when it came without one.

    Args:
        ask: sends a request to STS, and returns the status and the beginning of its answer.

    Raises:
        CallerNotProvenError: the proof is malformed, old, of another call, or forged.
        CallerUnknownError: STS does not answer.
    """
    asked, document = take_proof(request)
    if document is None:
        return None
    try:
        proof = CallerProof.model_validate(document)
        signed_at = datetime.strptime(proof.signed_at, TIME_FORMAT).replace(tzinfo=UTC)
    except (ValidationError, ValueError):
        raise CallerNotProvenError("the proof is not one") from None
    if abs(now - signed_at) > GOOD_FOR:
        raise CallerNotProvenError("it was signed at another time")
    if not place.signature_of(
        proof.authorization, signed_at=proof.signed_at, has_token=proof.session_token is not None
    ):
        raise CallerNotProvenError("it is no signature of this call in this region")
    to_send = place.make_request(
        proof.signed_at, function=function, digest=digest_request(asked), session_token=proof.session_token
    )
    to_send.headers["Authorization"] = proof.authorization
    status, answer = (ask or ask_sts)(to_send)
    if status >= 500 or status == 429:
        raise CallerUnknownError(f"HTTP {status}")
    found = _ARN.search(answer) if status == 200 else None
    if found is None:
        raise CallerNotProvenError("AWS does not know the signature")
    return found.group(1).decode("ascii")


def ask_sts(request: AWSRequest, *, timeout_seconds: int = TIMEOUT_SECONDS) -> tuple[int, bytes]:
    """Send a request; no redirection is followed.

    Args:
        timeout_seconds: for connecting, and again for the answer.

    Raises:
        CallerUnknownError: there is no answer.
    """
    http = URLLib3Session(timeout=timeout_seconds)
    try:
        answer = http.send(request.prepare())
        return answer.status_code, answer.content[:ANSWER_LIMIT_BYTES]
    except BotoCoreError as error:  # who cannot connect raises no HTTPClientError
        raise CallerUnknownError(type(error).__name__) from error
    finally:
        http.close()


class ProvenFunction:
    """A `RemoteFunction` that is called with a proof of who calls."""

    def __init__(self, function: RemoteFunction, *, name: str, session: Session, place: StsPlace) -> None:
        self.function, self._name = function, name
        self._session, self._place = session, place

    @classmethod
    def connect(
        cls, session: Session, *, name: str, endpoint_url: str | None, config: Config, region: str
    ) -> "ProvenFunction":
        """A deployed function by its name, called with the credentials of `session`."""
        client = session.client("lambda", endpoint_url=endpoint_url, config=config)
        place = StsPlace(session, region=region, endpoint_url=endpoint_url)
        return cls(LambdaFunction(client, function_name=name), name=name, session=session, place=place)

    def __call__(self, request: JsonObject) -> JsonObject:
        credentials = self._session.get_credentials()
        if credentials is None:
            return self.function(request)
        proof = sign_call(credentials, request, function=self._name, place=self._place, at=datetime.now(UTC))
        return self.function({**request, PROOF_FIELD: proof.model_dump(mode="json", exclude_none=True)})
