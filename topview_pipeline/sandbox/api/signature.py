"""Signed URLs in the forms of S3 (Signature Version 4 in the query) and CloudFront (a policy).

Expiry and tampering are really checked. A signature is one HMAC with a secret of this sandbox: no
client can check how it was made.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from urllib.parse import quote, urlencode

S3_PREFIX = "/aigc.s3/"
CLOUDFRONT_PREFIX = "/aigc.cloudfront/"
_ACCESS_KEY = "SANDBOXACCESSKEY"
_SCOPE = "us-east-1/s3/aws4_request"
_STAMP = "%Y%m%dT%H%M%SZ"


class SignatureRefused(Exception):
    """A URL that storage does not serve; `code` and `message` are S3's words, HTTP 403 or 400."""

    def __init__(self, code: str, message: str, http_status: int = 403) -> None:
        self.code = code
        self.message = message
        self.http_status = http_status
        super().__init__(message)


class Signer:
    """Signs and checks URLs of keys below `S3_PREFIX` and `CLOUDFRONT_PREFIX`."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def s3(self, base: str, key: str, *, now: float, seconds: int, method: str = "GET") -> str:
        """A presigned URL, good for one HTTP method and `seconds` from `now`.

        `base` is scheme and host; the host is part of the signature.
        """
        stamp = datetime.fromtimestamp(now, timezone.utc).strftime(_STAMP)
        query = _encoded(
            {
                "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
                "X-Amz-Credential": f"{_ACCESS_KEY}/{stamp[:8]}/{_SCOPE}",
                "X-Amz-Date": stamp,
                "X-Amz-Expires": str(seconds),
                "X-Amz-SignedHeaders": "host",
            }
        )
        path = S3_PREFIX + key
        signature = self._mac(f"{method} {base.partition('://')[2]}{path}?{query}")
        return f"{base}{path}?{query}&X-Amz-Signature={signature}"

    def cloudfront(self, base: str, key: str, *, now: float, seconds: int) -> str:
        """A URL with a signed policy that ends `seconds` after `now`."""
        path = CLOUDFRONT_PREFIX + key
        policy = _policy(f"{base}{path}", int(now) + seconds)
        return (
            f"{base}{path}?Policy={policy}&Signature={self._mac(policy)}&Key-Pair-Id={_ACCESS_KEY}"
        )

    def check_s3(
        self, method: str, host: str, path: str, query: Mapping[str, str], now: float
    ) -> None:
        """Raise SignatureRefused unless this request carries a signature that holds at `now`."""
        try:
            stamp, lifetime = query["X-Amz-Date"], int(query["X-Amz-Expires"])
            signed_at = datetime.strptime(f"{stamp} +0000", f"{_STAMP} %z")
            signature = query["X-Amz-Signature"]
        except (KeyError, ValueError) as error:
            raise SignatureRefused("AccessDenied", "Access Denied") from error
        signed = {name: query[name] for name in sorted(query) if name != "X-Amz-Signature"}
        expected = self._mac(f"{method} {host}{path}?{_encoded(signed)}")
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            raise SignatureRefused(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided.",
            )
        if now >= signed_at.timestamp() + lifetime:
            raise SignatureRefused("AccessDenied", "Request has expired")

    def check_cloudfront(self, url: str, query: Mapping[str, str], now: float) -> None:
        """Raise SignatureRefused unless the policy in the query is ours, for `url`, and holds."""
        policy = query.get("Policy", "")
        if not hmac.compare_digest(query.get("Signature", "").encode(), self._mac(policy).encode()):
            raise SignatureRefused("AccessDenied", "Access Denied")
        statement = json.loads(base64.urlsafe_b64decode(policy))["Statement"][0]
        ends = statement["Condition"]["DateLessThan"]["AWS:EpochTime"]
        ours = statement["Resource"] == url and query.get("Key-Pair-Id") == _ACCESS_KEY
        if not ours or now >= ends:
            raise SignatureRefused("AccessDenied", "Access Denied")

    def _mac(self, message: str) -> str:
        return hmac.new(self._secret.encode(), message.encode(), hashlib.sha256).hexdigest()


def _policy(url: str, ends: int) -> str:
    condition = {"DateLessThan": {"AWS:EpochTime": ends}}
    statement = {"Statement": [{"Resource": url, "Condition": condition}]}
    return base64.urlsafe_b64encode(json.dumps(statement).encode()).decode()


def _encoded(query: Mapping[str, str]) -> str:
    """The query in the form that is signed; its names must be sorted."""
    return urlencode(query, quote_via=quote, safe="-_.~")
