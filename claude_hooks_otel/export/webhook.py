"""A notification over HTTP: to Slack, ntfy, or any receiver of JSON. Imported only if a webhook is in use."""

from __future__ import annotations

import json
from email.header import Header
from typing import Any, Final

import requests

from claude_hooks_otel.export.http_answers import post
from claude_hooks_otel.export.notification import Notification, Sent
from claude_hooks_otel.settings import WebhookConfig

# Seconds that a try may take.
WEBHOOK_TIMEOUT: Final = 10.0


def webhook_request(config: WebhookConfig, notification: Notification) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a request.

    Sources: Slack, "Sending messages using incoming webhooks" (``text``); ntfy, "Publishing" (the body is the message; ``Title``,
    ``Priority``, ``Tags``).
    """
    if config.format == "ntfy":
        title = Header(notification.title, "utf-8").encode() if not notification.title.isascii() else notification.title
        headers = {"content-type": "text/plain; charset=utf-8", "title": title, "tags": "moneybag"}
        body = notification.text.encode()
        return body, {**headers, "priority": "high" if notification.is_urgent else "default", **config.headers}
    if config.format == "slack":
        content: dict[str, Any] = {"text": f"*{notification.title}*\n{notification.text}"}
    else:
        content = {"version": 1, "id": notification.id, "title": notification.title, "text": notification.text}
        content |= notification.details
    return json.dumps(content).encode(), {"content-type": "application/json", **config.headers}


def send_to_webhook(config: WebhookConfig, notification: Notification, timeout: float = WEBHOOK_TIMEOUT) -> Sent:
    """Send a notification, within ``timeout`` seconds. Redirects are not followed. No error names the address, which is a secret."""
    body, headers = webhook_request(config, notification)
    try:
        response = post(config.url, body, headers, timeout)
    except requests.Timeout:
        return Sent("no answer in time")
    except requests.exceptions.SSLError:
        return Sent("the certificate is not trusted")
    except ValueError:  # also of requests, for a URL or a header
        return Sent("the url or a header is not valid", is_final=True)
    except OSError:  # also of requests
        return Sent("no connection")
    if 200 <= response.status_code < 300:
        return Sent()
    return Sent(
        f"HTTP {response.status_code}",
        is_final=response.status_code not in {408, 425, 429} and response.status_code < 500,
    )
