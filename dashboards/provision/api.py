"""Grafana's HTTP API: grafana-api-client, with time-outs, organisations, and answers told from errors by their code."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from grafana_api_client import GrafanaClient, GrafanaClientError, GrafanaServerError

from pixeltally.errors import Refused

#: Seconds to connect and to wait for an answer.
TIMEOUT_S = (3, 30)

_ORGANISATION = "X-Grafana-Org-Id"


class Failed(Exception):
    """Grafana didn't do what it was asked; its text says what, and Grafana's reason."""


class Grafana:
    """A Grafana, as its administrator. Paths are given by their parts, which may hold any character."""

    def __init__(self, url: str, user: str, password: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused(f"PIXELTALLY_GRAFANA_URL={url!r} is no address such as http://127.0.0.1:3000.")
        self.url, self.user = url, user
        host = parts.netloc.rpartition("@")[2]
        self._client = GrafanaClient(
            (user, password), host=host, url_path_prefix=parts.path.strip("/"), protocol=parts.scheme
        )
        self._client.custom_requests_params = {"timeout": TIMEOUT_S}
        self._client.session.hooks["response"].append(self._note)
        self._answer: requests.Response | None = None

    def find(self, *path: str, organisation: int = 0, **query: str) -> Any:
        """What is at `path`; None where nothing is (404)."""
        return self._ask("get", path, organisation, query, nothing=404)

    def send(self, method: str, *path: str, organisation: int = 0, content: Mapping[str, Any] | None = None) -> Any:
        """Create (`post`), replace (`put`), change (`patch`) or `delete` what is at `path`; raises :class:`Failed`."""
        return self._ask(method, path, organisation, content or {})

    def _note(self, answer: requests.Response, **_: object) -> None:
        self._answer = answer

    def _ask(
        self, method: str, path: tuple[str, ...], organisation: int, content: Mapping[str, Any], nothing: int = 0
    ) -> Any:
        self._answer = None
        headers = self._client.session.headers
        headers.pop(_ORGANISATION, None)
        if organisation:
            headers[_ORGANISATION] = str(organisation)
        endpoint = "/".join(quote(part, safe="") for part in path)
        try:
            return self._client.make_raw_request(method, endpoint, content)
        except requests.JSONDecodeError:
            reason = "an answer that is no JSON"
        except requests.RequestException as error:
            raise Refused(
                f"Grafana doesn't answer on {self.url} ({type(error).__name__}): PIXELTALLY_GRAFANA_URL names it."
            ) from None
        except (GrafanaClientError, GrafanaServerError, KeyError):  # KeyError: the client reads a 412 that says less
            reason = _said(self._answer)
        code = self._answer.status_code if self._answer is not None else 0
        if code == nothing:
            return None
        if code == 401:
            raise Refused(
                f"Grafana on {self.url} refuses {self.user}: PIXELTALLY_GRAFANA_USER and PIXELTALLY_GRAFANA_PASSWORD"
                " name its administrator."
            )
        raise Failed(f"{method.upper()} {endpoint}: {code}, {reason}")


def _said(answer: requests.Response | None) -> str:
    """Grafana's reason."""
    if answer is None:
        return "no answer"
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.reason or "no reason given"
