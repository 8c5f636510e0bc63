"""Signed URLs: S3 presigned (Signature Version 4 in the query) and CloudFront's custom policy.

Expiry and tampering are really checked, against a secret of this sandbox. CloudFront signs with
RSA; here it is an HMAC of the same secret, since no client ever checks it.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import lru_cache
from urllib.parse import quote

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
        signature = self._signature(method, base.partition("://")[2], path, query, stamp)
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
        expected = self._signature(method, host, path, _encoded(signed), stamp)
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

    def _signature(self, method: str, host: str, path: str, query: str, stamp: str) -> str:
        canonical = f"{method}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{stamp[:8]}/{_SCOPE}\n{digest}"
        return _hmac(_signing_key(self._secret, stamp[:8]), to_sign).hex()


def _policy(url: str, ends: int) -> str:
    condition = {"DateLessThan": {"AWS:EpochTime": ends}}
    statement = {"Statement": [{"Resource": url, "Condition": condition}]}
    return base64.urlsafe_b64encode(json.dumps(statement).encode()).decode()


def _encoded(query: Mapping[str, str]) -> str:
    """The query in the form that is signed; its names must be sorted."""
    return "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query.items()
    )


@lru_cache(maxsize=64)
def _signing_key(secret: str, date: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, *_SCOPE.split("/")):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, message: str) -> bytes:
    return hmac.new(key, message.encode(), hashlib.sha256).digest()
