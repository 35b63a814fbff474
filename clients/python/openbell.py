#!/usr/bin/env python3
"""Tokens of your trading accounts, from the Openbell service on this machine.

    import openbell
    bell = openbell.Openbell()
    requests.get(url, headers=bell.headers("kite-main"))

One file, standard library only, Python 3.8 or newer: copy it beside your program. It needs a running service
(`openbell up`). All durations are seconds. Instants are seconds since 1970 (UTC). Nothing here prints or logs a token or
a key. `python3 openbell.py kite-main` shows how an account stands.

Environment: OPENBELL_URL (default http://127.0.0.1:8079), OPENBELL_KEY (default: what stands in `api.key` of
OPENBELL_HOME, which is `~/.openbell` by default).
"""

import argparse
import datetime
import http.client
import json
import logging
import os
import random
import re
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

__all__ = [
    "LoginNeeded",
    "NotReady",
    "Openbell",
    "OpenbellError",
    "headers",
    "on_renewed",
    "token",
    "wait_until_live",
]

_log = logging.getLogger("openbell")

# How long a token is handed out without asking the service again. Short, because a broker may end a token at any time
# (at Kite each further login does) and only the service learns of it.
_ASK_AGAIN_AFTER = 15.0
# While the service is away, a known token is handed out until so long before its end.
_MARGIN = 30.0
# The service may renew before it answers; it gives up after 20 s.
_RENEWAL_TAKES = 20
_ANSWER_TAKES = 10
_LARGEST_ANSWER = 1024 * 1024


class OpenbellError(Exception):
    """No token. `code` is stable (the service's docs/errors.md lists them); `detail` is one sentence for people.

    Codes that only this file gives: `service-unreachable` (nothing answers) and `answer-not-understood` (something else
    than Openbell does). `remedy` is `retry`, `wait`, `login`, `fix-settings` or `superseded`.
    """

    def __init__(self, code, detail, remedy="fix-settings"):
        super().__init__("{} ({})".format(detail, code))
        self.code = code
        self.detail = detail
        self.remedy = remedy


class LoginNeeded(OpenbellError):
    """A person must log in. `command` is what they run, such as `openbell login kite-main`."""

    def __init__(self, code, detail, command):
        super().__init__(code, detail, "login")
        self.command = command


class NotReady(OpenbellError):
    """It passes without a person. `retry_after` is how many seconds to wait before asking again."""

    def __init__(self, code, detail, retry_after, remedy="wait"):
        super().__init__(code, detail, remedy)
        self.retry_after = retry_after


class Openbell:
    """A service and the key to it. May be used from several threads at once.

    `url`: https, or http on this machine. `key`: an API key; a key in the file is read anew for each request.
    Raises OpenbellError with the code `invalid-config` for any other address.
    """

    def __init__(self, url=None, key=None):
        self._url = _checked_url(url or os.environ.get("OPENBELL_URL") or "http://127.0.0.1:8079")
        self._key = key or os.environ.get("OPENBELL_KEY") or None
        self._known = {}
        self._locks = {}
        self._lock = threading.Lock()
        self._opener = _opener(self._url)

    def __repr__(self):
        return "Openbell({!r})".format(self._url)

    def token(self, account):
        """The access token of `account`, as a string. Cheap in a loop: the service is asked each 15 s at most.

        Ask each time instead of keeping it. While the service cannot be reached, the last token is returned until 30 s
        before its end. Raises LoginNeeded, NotReady or OpenbellError. May take 30 s when the service renews first.
        """
        return self._current(account)["access_token"]

    def headers(self, account):
        """The HTTP headers to send to the broker, as a new dict. Raises and waits like `token`."""
        return dict(self._current(account)["headers"])

    def wait_until_live(self, account, timeout=None):
        """Waits until the broker has accepted a token of `account`, and returns that token.

        Waits through missing logins, broker trouble and a service that is away, for `timeout` seconds (None: for ever);
        then raises what is in the way: LoginNeeded, NotReady or OpenbellError. What waiting cannot mend, such as a wrong
        key or an unknown account, is raised at once.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _RENEWAL_TAKES if until is None else max(0.0, until - time.monotonic())
            try:
                # With no time at all the service would only say that it had none.
                answer = self._ask(account, wait=max(1, int(min(left, _RENEWAL_TAKES))))
                if answer["state"] == "live":
                    return answer["access_token"]
                trouble = NotReady("token-not-ready", "The broker has not confirmed the token yet.", 2.0)
            except OpenbellError as error:
                if error.remedy == "fix-settings":
                    raise
                trouble = error
            pause = random.uniform(1.0, 2.0)
            if until is not None:
                left = until - time.monotonic()
                if left <= 0:
                    raise trouble
                pause = min(pause, left)
            time.sleep(pause)

    def on_renewed(self, account, callback, every=5.0):
        """Calls `callback(token)` in a thread of its own each time `account` has a new token; returns how to stop that.

        Asks about each `every` seconds. Compares with the token that this object returned last or, if it returned none, with
        the one that is current now; if there is none now, the first one counts as new. Nothing ends it but the returned
        function or the program: a callback that raises is logged by the name of its error, and called for the next token.
        """
        stopped = threading.Event()
        with self._lock:
            known = self._known.get(account)
        if known is None:
            known = self._quietly(account)
        seen = known["access_token"] if known else None

        def watch():
            last = seen
            while not stopped.wait(every * random.uniform(0.75, 1.25)):
                answer = self._quietly(account)
                if answer is None or answer["access_token"] == last:
                    continue
                last = answer["access_token"]
                try:
                    callback(last)
                except Exception as error:  # Its text may hold the token.
                    _log.error("on_renewed: the callback for %s raised %s", account, type(error).__name__)

        threading.Thread(target=watch, name="openbell-" + account, daemon=True).start()
        return stopped.set

    # ---------------------------------------------------------------------------------------------------- asking

    def _current(self, account):
        with self._lock:
            lock = self._locks.setdefault(account, threading.Lock())
        # Many threads that come at once ask once.
        with lock:
            with self._lock:
                known = self._known.get(account)
            now = time.time()
            if known and 0 <= now - known["asked_at"] < _ASK_AGAIN_AFTER and now < known["ends_at"]:
                return known
            try:
                return self._ask(account)
            except OpenbellError as error:
                if error.code == "service-unreachable" and known and now < known["ends_at"] - _MARGIN:
                    return known
                raise

    def _quietly(self, account):
        try:
            return self._ask(account)
        except OpenbellError:
            return None

    def _ask(self, account, wait=_RENEWAL_TAKES):
        path = "/v1/accounts/{}/token?wait={}".format(urllib.parse.quote(account, safe=""), wait)
        try:
            answer = self._get(path, wait + _ANSWER_TAKES)
            known = {
                "access_token": _text(answer, "access_token"),
                "headers": dict(answer["headers"]),
                "state": _text(answer, "state"),
                "asked_at": time.time(),
                "ends_at": _seconds(_text(answer, "expires_at")),
            }
        except OpenbellError as error:
            if error.code != "service-unreachable":
                with self._lock:
                    self._known.pop(account, None)
            raise
        except (KeyError, TypeError, ValueError):
            raise _not_understood(self._url) from None
        with self._lock:
            self._known[account] = known
        return known

    def status(self, account):
        """How `account` stands, as the service's `/v1/accounts` tells it: a dict without tokens. Raises OpenbellError."""
        answer = self._get("/v1/accounts", _ANSWER_TAKES)
        try:
            accounts = answer["accounts"]
            found = [each for each in accounts if each["id"] == account]
            names = ", ".join(each["id"] for each in accounts) or "none yet"
        except (KeyError, TypeError):
            raise _not_understood(self._url) from None
        if not found:
            raise OpenbellError("unknown-account", "There is no account called {}: there is {}.".format(account, names))
        return found[0]

    def _get(self, path, timeout):
        request = urllib.request.Request(self._url + path, headers={"Accept": "application/json"})
        # As an unredirected header it would not go along to another place, even if redirects were followed.
        request.add_unredirected_header("Authorization", "Bearer " + _checked_key(self._key or _key_from_file()))
        try:
            with self._opener.open(request, timeout=timeout) as response:
                return _parsed(response.read(_LARGEST_ANSWER), self._url)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error) from None
        except (OSError, http.client.HTTPException) as error:
            # What urllib wraps, such as "connection refused", says more than the wrapping.
            why = type(getattr(error, "reason", error)).__name__
            detail = "Nothing answers at {} ({}): start it with `openbell up`.".format(self._url, why)
            raise OpenbellError("service-unreachable", detail, "retry") from None

    def _refusal(self, error):
        try:
            problem = _parsed(error.read(_LARGEST_ANSWER), self._url)
            code, detail, remedy = (_text(problem, name) for name in ("code", "detail", "remedy"))
            if remedy == "login":
                account = problem.get("account", "<account>")
                command = problem.get("login", {}).get("command", "openbell login {}".format(account))
                return LoginNeeded(code, detail, command)
            if error.code == 503:
                seconds = re.match(r"\d{1,5}$", error.headers.get("Retry-After", ""))
                return NotReady(code, detail, float(seconds.group()) if seconds else 5.0, remedy)
            return OpenbellError(code, detail, remedy)
        except (KeyError, TypeError, AttributeError, OSError, http.client.HTTPException):
            return _not_understood(self._url)
        except OpenbellError as not_json:
            return not_json


# ------------------------------------------------------------------------------------------ with the usual settings

_default = None
_default_lock = threading.Lock()


def _client():
    global _default
    with _default_lock:
        if _default is None:
            _default = Openbell()
        return _default


def token(account):
    """`Openbell().token(account)`, on one object that all these functions share."""
    return _client().token(account)


def headers(account):
    """`Openbell().headers(account)`."""
    return _client().headers(account)


def wait_until_live(account, timeout=None):
    """`Openbell().wait_until_live(account, timeout)`; `timeout` in seconds."""
    return _client().wait_until_live(account, timeout)


def on_renewed(account, callback, every=5.0):
    """`Openbell().on_renewed(account, callback, every)`; `every` in seconds."""
    return _client().on_renewed(account, callback, every)


# ------------------------------------------------------------------------------------------------------------ wire


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        return None


def _opener(url):
    # A proxy from the environment would get the key, and the token back, in plain text.
    proxies = urllib.request.ProxyHandler({} if url.startswith("http:") else None)
    return urllib.request.build_opener(proxies, _NoRedirects)


def _checked_url(url):
    parts = urllib.parse.urlsplit(url)
    here = parts.hostname in ("localhost", "::1") or re.match(r"127(\.\d+){3}$", parts.hostname or "")
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if plain and parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and here)):
        return url.rstrip("/")
    raise OpenbellError("invalid-config", "The address of the service must be https, or http on this machine.")


def _key_from_file():
    home = os.environ.get("OPENBELL_HOME") or os.path.join(os.path.expanduser("~"), ".openbell")
    path = os.path.join(home, "api.key")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeError) as error:
        why = type(error).__name__
        detail = "No key: {} cannot be read ({}); `openbell up` makes it.".format(path, why)
        raise OpenbellError("key-required", detail) from None


def _checked_key(key):
    # http.client would quote a key with a line end in its error.
    if re.match(r"[\x21-\x7e]{1,512}\Z", key):
        return key
    raise OpenbellError("key-invalid", "The key holds a character that no key has, or nothing.")


def _parsed(body, url):
    try:
        return json.loads(body.decode("utf-8"))
    except ValueError:
        raise _not_understood(url) from None


def _not_understood(url):
    return OpenbellError("answer-not-understood", "What answers at {} is not Openbell.".format(url), "fix-settings")


def _text(answer, name):
    value = answer[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def _seconds(iso):
    # Python reads `Z` only since 3.11.
    return datetime.datetime.fromisoformat(iso.replace("Z", "+00:00")).timestamp()


# ---------------------------------------------------------------------------------------------------- command line


def main(argv=None):
    """Prints how the account stands. Exit code 0: there is a token; 1: there is none; 2: usage; 3: a person must log in."""
    parser = argparse.ArgumentParser(description="Shows how an account of Openbell stands.")
    parser.add_argument("account", help="such as kite-main")
    parser.add_argument("--token", action="store_true", help="print the access token, and nothing else")
    options = parser.parse_args(argv)
    try:
        bell = Openbell()
        if options.token:
            print(bell.token(options.account))
            return 0
        status = bell.status(options.account)
        ends = " until {}".format(status["expires_at"]) if "expires_at" in status else ""
        print("{}: {}{}. {}".format(status["id"], status["state"], ends, status["evidence"]))
        if status["state"] not in ("live", "unproven", "suspect"):
            # Asking for it tells what is in the way, or makes the service renew.
            bell.token(options.account)
        return 0
    except LoginNeeded as error:
        print("{} Run: {}".format(error.detail, error.command), file=sys.stderr)
        return 3
    except OpenbellError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
