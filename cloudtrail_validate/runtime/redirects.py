"""Opens HTTP connections that follow no redirect."""

from __future__ import annotations

import ssl
import urllib.request


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Answers a redirect as it is: urllib would follow a POST with a GET, and take what the headers hold elsewhere."""

    def redirect_request(self, *_args: object) -> None:
        """Return no request to go on with."""


def opener_without_redirects() -> urllib.request.OpenerDirector:
    """Return an opener that verifies certificates; a redirect is raised as the `HTTPError` of its status."""
    context = ssl.create_default_context()  # SSL_CERT_FILE and SSL_CERT_DIR name further authorities
    return urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))
