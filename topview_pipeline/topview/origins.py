"""Which URLs may be talked to: the configured base, and what Topview's answers point to."""

import httpx

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(url: httpx.URL) -> bool:
    """Say whether `url` names this machine."""
    return url.host in _LOOPBACK


def read_base_url(text: str) -> httpx.URL:
    """Return the configured base URL.

    Raises:
        ValueError: It is no URL, or it would send the key in the clear to another machine. Plain
            http is for a sandbox on this machine.
    """
    base = read_url(text.strip())
    if base is None or base.scheme not in ("http", "https") or not base.host:
        raise ValueError(
            f"TOPVIEW_BASE_URL must be a URL like https://api.topview.ai, not {text!r}"
        )
    if base.userinfo or base.query or base.fragment:
        raise ValueError("TOPVIEW_BASE_URL must have no user, query or fragment")
    if base.scheme == "http" and not is_loopback(base):
        raise ValueError(
            f"TOPVIEW_BASE_URL must be https, not {text!r}: the API key would travel unencrypted"
        )
    return base


def read_url(text: str) -> httpx.URL | None:
    """Return `text` as a URL, or None when it is none."""
    try:
        return httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        return None


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return what makes two URLs the same server: scheme, host, port (None is the default)."""
    return url.scheme, url.host, url.port


def allowed(url: httpx.URL, base: httpx.URL) -> bool:
    """Say whether media may be fetched from or put to `url`: https, or the base's own origin."""
    return bool(url.host) and (url.scheme == "https" or origin(url) == origin(base))
