"""The page to log in by: one form, no script."""

from html import escape

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>radlet: log in</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/login.css">
</head>
<body>
<main>
<h1>radlet</h1>
<p>Drafts of chest X-ray reports. Not a medical device.</p>
{words}
<form method="post" action="/login">
<label for="name">Name</label>
<input id="name" name="name" maxlength="64" autocomplete="username" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" maxlength="256" autocomplete="current-password" required>
<button>Log in</button>
</form>
{issuer}
</main>
</body>
</html>
"""
_ISSUER = '<p><a href="/oidc/login">Log in with the account of your institution</a></p>'
_GO_ON = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0;url=/">
<title>radlet</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
</head>
<body><p><a href="/">Go on</a></p></body>
</html>
"""
STYLE = """:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { min-height: 100vh; margin: 0; display: grid; place-items: center;
  background: light-dark(#e9edf2, #12171f); color: light-dark(#17202c, #e8ecf2); }
main { width: min(22rem, 90vw); }
form { display: grid; gap: 0.5rem; }
input, button { font: inherit; padding: 0.5rem 0.75rem; border: 1px solid GrayText; border-radius: 0.375rem; }
button { margin-top: 0.75rem; border: 0; background: #1d5fd1; color: white; cursor: pointer; }
[role="alert"] { padding: 0.5rem 0.75rem; border-left: 4px solid #c4472b; }
"""


def login_page(words: str = "", *, issuer: bool = False) -> str:
    """Return the page.

    Args:
        words: Why the last attempt came to nothing.
        issuer: Whether an issuer of the institution can be asked.
    """
    told = f'<p role="alert">{escape(words)}</p>' if words else ""
    return _PAGE.format(words=told, issuer=_ISSUER if issuer else "")


def go_on_page() -> str:
    """Return a page that leads to the reading room.

    A browser that comes from the issuer's page would not send the new cookie with a redirect: it is for requests that
    begin here alone.
    """
    return _GO_ON
