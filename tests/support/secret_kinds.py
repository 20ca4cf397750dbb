"""Kinds of secrets, each in a command and in an output of a tool, and the forms in which a text can be written.

The secrets are random and invalid. A file that names their patterns only has nothing for a scanner of repositories to find.
"""

from __future__ import annotations

import base64
import json
import random
import re
import string
import textwrap
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

_ALPHABETS: Final[Mapping[str, str]] = {
    "an": string.ascii_letters + string.digits,
    "low": string.ascii_lowercase + string.digits,
    "up": string.ascii_uppercase + string.digits,
    "hex": "0123456789abcdef",
    "dig": string.digits,
    "url": string.ascii_letters + string.digits + "-_",
    "b64": string.ascii_letters + string.digits + "+/",
    "b32": string.ascii_uppercase + "234567",
    "bech": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
    "pw": string.ascii_letters + string.digits + "!#.^*_-",
}
_PLACE: Final = re.compile(r"<(b64|b32|[a-z]+)(\d+)>")
_LONGEST_LEFT: Final = 8  # characters of a secret in a row that may stay, less one


@dataclass(frozen=True)
class Kind:
    """A kind of secret. In the command and the output, ``@`` stands for the secret and NUL for an at sign."""

    name: str
    pattern: str
    command: str
    output: str

    def texts(self) -> list[tuple[str, str]]:
        """Return (secret, text with it) for the command and for the output."""
        draw = random.Random(self.name)
        return [
            (secret := _drawn(self.pattern, draw), text.replace("@", secret).replace("\0", "@"))
            for text in (self.command, self.output)
        ]


def _drawn(pattern: str, draw: random.Random) -> str:
    """Return a secret of a pattern: ``<an36>`` becomes 36 random letters and digits."""

    def chosen(match: re.Match[str]) -> str:
        return "".join(draw.choices(_ALPHABETS[match[1]], k=int(match[2])))

    return _PLACE.sub(chosen, pattern)


_UUID: Final = "<hex8>-<hex4>-4<hex3>-a<hex3>-<hex12>"
_JWT: Final = "eyJhbGciOiJIUzI1NiJ9.eyJ<url40>.<url43>"

KINDS: Final = tuple(
    Kind(*row)
    for row in (
        # -- tokens that their form gives away
        ("npm token", "npm_<an36>", "npm config set //registry.npmjs.org/:_authToken @", "//registry.npmjs.org/:_authToken=@"),
        ("PyPI token", "pypi-AgEIcHlwaS5vcmc<url80>", "twine upload -u __token__ -p @ dist/*", "[pypi]\nusername = __token__\npassword = @"),
        ("GitHub personal token", "ghp_<an36>", "git clone https://@\0github.com/me/app", "remote: token @ accepted"),
        ("GitHub fine-grained token", "github_pat_<an22>_<an59>", "gh api user -H 'Authorization: token @'", "using @ for github.com"),
        ("GitHub app token", "ghs_<an36>", "echo @ | gh auth login --with-token", "token: @"),
        ("GitLab token", "glpat-<url20>", "curl -H 'PRIVATE-TOKEN: @' https://gitlab.example.org/api/v4/projects", "created token @"),
        ("Slack bot token", "xoxb-<dig12>-<dig12>-<an24>", "export SLACK_BOT=@ && python bot.py", "bot connected with @"),
        ("Slack app token", "xapp-1-A<up10>-<dig13>-<hex64>", "python bot.py --app @", "app level token @"),
        ("Slack webhook", "T<up10>/B<up10>/<an24>", "curl -d '{}' https://hooks.slack.com/services/@", "posting to https://hooks.slack.com/services/@"),
        ("Discord webhook", "<dig18>/<url68>", "curl -d content=hi https://discord.com/api/webhooks/@", "webhook url is https://discord.com/api/webhooks/@"),
        ("Discord bot token", "M<an23>.<an6>.<url38>", "DISCORD_TOKEN=@ node bot.js", "logging in, token @"),
        ("Telegram bot token", "<dig10>:AA<url33>", "curl https://api.telegram.org/bot@/getMe", "bot token @"),
        ("Stripe secret key", "sk_live_<an24>", "stripe customers list --api-key @", "key @ is live"),
        ("Stripe restricted key", "rk_live_<an24>", "curl https://api.stripe.com/v1/charges -u @:", "restricted key @"),
        ("Stripe webhook secret", "whsec_<an32>", "stripe listen --print-secret # @", "Your webhook signing secret is @ (^C to quit)"),
        ("AWS access key id", "AKIA<b3216>", "aws configure set aws_access_key_id @", "aws_access_key_id = @"),
        ("AWS secret access key", "<b6440>", "aws configure set aws_secret_access_key @", "aws_secret_access_key = @"),
        ("AWS session token", "IQoJb3JpZ2luX2Vj<b64200>", "export AWS_SESSION_TOKEN=@", '"SessionToken": "@",'),
        ("Google API key", "AIza<url35>", "curl 'https://maps.googleapis.com/maps/api/geocode/json?key=@'", "using key @"),
        ("Google OAuth client secret", "GOCSPX-<url28>", "gcloud auth --client @", '"client_secret":"@"'),
        ("Google access token", "ya29.<url60>", "curl -H 'Authorization: Bearer @' https://www.googleapis.com/", "access token @"),
        ("Azure SAS", "<b6443>%3D", "azcopy copy x 'https://acc.blob.core.windows.net/c?sv=2022-11-02&ss=b&sp=rl&sig=@'", "https://acc.blob.core.windows.net/c/f?sp=r&st=2024-01-01&sv=2022-11-02&sr=b&sig=@"),
        ("Azure storage key", "<b6486>==", "az storage blob list --account-key @ --account-name acc", "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=@;EndpointSuffix=core.windows.net"),
        ("Azure client secret", "<an3>8Q~<url34>", "az login --service-principal -u app -p @ --tenant t", "ARM_CLIENT_SECRET=@"),
        ("Mailgun key", "key-<hex32>", "curl -s --user 'api:@' https://api.mailgun.net/v3/x/messages", "mailgun: using @"),
        ("Mailchimp key", "<hex32>-us12", "export MAILCHIMP=@", "mailchimp api key @"),
        ("SendGrid key", "SG.<url22>.<url43>", "export SENDGRID=@", "sendgrid answered 401 for @"),
        ("Twilio key", "SK<hex32>", "twilio login @", "TWILIO_API_KEY=@"),
        ("Databricks token", "dapi<hex32>", "databricks configure --host h # @", "host = h\ntoken = @"),
        ("DigitalOcean token", "dop_v1_<hex64>", "doctl auth init -t @", "access-token: @"),
        ("Shopify token", "shpat_<hex32>", "curl -H 'X-Shopify-Access-Token: @' https://s.myshopify.com/admin", "installed, got @"),
        ("Vault token", "hvs.<url90>", "vault login @", "token                @\ntoken_accessor       x"),
        ("Old Vault token", "s.<an24>", "VAULT_TOKEN=@ vault kv list secret", "VAULT_TOKEN=@"),
        ("Doppler token", "dp.pt.<an43>", "doppler configure set token @", "doppler: @"),
        ("Linear key", "lin_api_<an40>", "curl -H 'Authorization: @' https://api.linear.app/graphql", "linear key @"),
        ("Docker Hub token", "dckr_pat_<url27>", "echo @ | docker login -u me --password-stdin", "personal access token @"),
        ("age key", "AGE-SECRET-KEY-1<bech58>", "echo @ > key.txt", "# public key: age1x\n@"),
        ("Anthropic key", "sk-ant-api03-<url93>AA", "ANTHROPIC=@ claude -p hi", "invalid x: @"),
        ("OpenAI key", "sk-proj-<url74>T3BlbkFJ<url74>", "llm keys set openai --value @", "Incorrect API key provided: @."),
        ("Old OpenAI key", "sk-<an20>T3BlbkFJ<an20>", "python ask.py @", "using @"),
        ("Hugging Face token", "hf_<an34>", "hf auth login --add @", "Token @ is valid"),
        ("Replicate token", "r8_<an37>", "replicate login @", "replicate: @"),
        ("Groq key", "gsk_<an52>", "groq ask @", "groq @"),
        ("Notion token", "ntn_<dig11><an35>", "notion sync @", "notion @ ok"),
        ("Airtable token", "pat<an14>.<hex64>", "airtable login @", "airtable token @"),
        ("New Relic key", "NRAK-<up27>", "newrelic profile add @", "profile default @"),
        ("Sentry token", "sntrys_<b64120>", "sentry-cli login @", "sentry token @"),
        ("Grafana token", "glsa_<an32>_<hex8>", "curl -H 'Authorization: Bearer @' localhost:3000/api/org", "service account token @"),
        ("Terraform token", "<an14>.atlasv1.<url60>", "terraform login # @", 'credentials "app.terraform.io" {\n  token = "@"\n}'),
        ("Pulumi token", "pul-<hex40>", "pulumi login -t @", "logged in with @"),
        ("PlanetScale password", "pscale_pw_<url43>", "pscale connect db @", "password @"),
        ("RubyGems key", "rubygems_<hex48>", "gem push x.gem @", ":gem_api_key: @"),
        ("Postman key", "PMAK-<hex24>-<hex34>", "newman run c --key @", "postman @"),
        ("Tailscale key", "tskey-auth-<an17>-<an32>", "tailscale up --authkey @", "tailscale @"),
        ("JSON web token", _JWT, "http GET :8000/me @", '{"access": "@"}'),
        # -- secrets that their place gives away
        ("password option", "<pw14>", "deploy --user me --password @ --host db1", "+ deploy --user me --password @ --host db1"),
        ("password option with equals sign", "<pw14>", "wget --user=me --password='@' https://example.org/f", "running: wget --user=me --password='@'"),
        ("curl user", "<an14>", "curl -u admin:@ https://example.org/api", "> curl -u admin:@ https://example.org/api"),
        ("MySQL option", "<an12>", "mysql -uroot -p@ -e 'select 1'", "$ mysqldump -u root -p@ shop > shop.sql"),
        ("sshpass option", "<pw12>", "sshpass -p '@' ssh me\0host1", "sshpass -p '@' scp f host1:"),
        ("cookie", "<hex40>", "curl -b 'sessionid=@; theme=dark' https://example.org/", "Set-Cookie: sessionid=@; Path=/; HttpOnly"),
        ("cookie header", "<url48>", "curl -H 'Cookie: sid=@' https://example.org/", "Cookie: theme=dark; sid=@"),
        ("x-api-key", "<hex40>", "curl -H 'x-api-key: @' https://example.org/v1", "x-api-key: @"),
        ("bearer token", "<url40>", "curl -H 'Authorization: Bearer @' https://example.org/", "authorization: Bearer @"),
        ("basic authentication", "<b6432>", "curl -H 'Authorization: Basic @' https://example.org/", "Authorization: Basic @"),
        ("password in a URL", "<an16>", "psql postgresql://app:@\0db.example.org/shop", "DATABASE_URL=postgres://app:@\0db:5432/shop"),
        ("password of Redis in a URL", "<an16>", "redis-cli -u redis://:@\0cache:6379", "cannot connect to redis://default:@\0cache:6379/0"),
        ("netrc", "<pw14>", "echo 'machine example.org login me password @' >> ~/.netrc", "machine example.org\n  login me\n  password @"),
        ("SQL user", "<pw14>", "mysql -e \"CREATE USER 'app'\0'%' IDENTIFIED BY '@'\"", "CREATE USER app IDENTIFIED BY '@';"),
        ("PostgreSQL role", "<pw14>", "psql -c \"ALTER ROLE app WITH PASSWORD '@'\"", "CREATE ROLE app LOGIN PASSWORD '@';"),
        ("passphrase prompt", "<pw14>", "printf '@\\n' | ssh-add --passphrase @ key", "Enter passphrase for key 'id_rsa': @\nIdentity added"),
        ("password prompt", "<pw14>", "expect -c 'expect \"Password:\"; send \"@\\r\"'", "me\0host's password: @\nLast login: Mon"),
        ("environment variable", "<pw14>", "DB_PASSWORD=@ ./run", "export DB_PASSWORD=@"),
        ("PGPASSWORD", "<an12>", "PGPASSWORD=@ psql -h db", "PGPASSWORD=@"),
        ("YAML password", "<pw14>", "yq -i '.db.password = \"@\"' c.yml", "db:\n  user: app\n  password: @\n  host: db"),
        ("JSON secret", "<an32>", "curl -d '{\"client_secret\": \"@\"}' https://example.org/token", '{"client_id": "web", "client_secret": "@"}'),
        ("API key in code", "<hex32>", "sed -i 's/x/API_KEY = \"@\"/' conf.py", 'API_KEY = "@"'),
        ("connection string", "<an16>", "sqlcmd 'Server=db;User Id=sa;Password=@;Encrypt=true'", "Server=db;Database=x;User Id=sa;Pwd=@;"),
        ("Heroku key", _UUID, "HEROKU_API_KEY=@ heroku apps", "heroku api key: @"),
        ("Datadog key", "<hex32>", "DD_API_KEY=@ datadog-agent start", "dd_api_key: @"),
        ("Django key", "<low50>", "export DJANGO_SECRET_KEY='@'", "SECRET_KEY = 'django-insecure-@'"),
        ("Docker authentication", "<b6440>", "echo '{\"auths\":{\"r.example.org\":{\"auth\":\"@\"}}}' > c.json", '"auth": "@"'),
        ("private key", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC<b64400>", "echo '-----BEGIN PRIVATE KEY-----\n@\n-----END PRIVATE KEY-----' > k", "-----BEGIN RSA PRIVATE KEY-----\n@\n-----END RSA PRIVATE KEY-----"),
        ("WireGuard key", "<b6443>=", "wg set wg0 private-key <(echo 'PrivateKey = @')", "[Interface]\nPrivateKey = @\nAddress = 10.0.0.2/32"),
        ("OpenSSL password", "<pw14>", "openssl enc -aes-256-cbc -pass pass:@ -in f", "openssl rsa -passin pass:@ -in k.pem"),
        ("password hash", "$6$<an16>$<an86>", "usermod -p '@' me", "me:@:19700:0:99999:7:::"),
        ("kubectl literal", "<pw14>", "kubectl create secret generic db --from-literal=password=@", "kubectl create secret generic db --from-literal=password=@"),
    )
)  # fmt: skip


def _halved(secret: str, text: str) -> str:
    """Break the text over lines in the middle of the secret."""
    half = len(secret) // 2
    return text.replace(secret, f"{secret[:half]}\n{secret[half:]}")


def _sliced(width: int) -> Callable[[str, str], str]:
    def wrapped(_: str, text: str) -> str:
        return "\n".join(
            line[at : at + width] for line in text.split("\n") for at in range(0, max(len(line), 1), width)
        )

    return wrapped


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# How a text with a secret can be written.
FORMS: Final[Mapping[str, Callable[[str, str], str]]] = {
    "plain": lambda _, text: text,
    "JSON": lambda _, text: json.dumps({"command": text, "description": "x"}),
    "JSON in JSON": lambda _, text: json.dumps({"input": json.dumps({"command": text})}),
    "URL": lambda _, text: urllib.parse.quote(text, safe=""),
    "broken": _halved,
    "wrapped at 40": _sliced(40),
    "wrapped at 76": _sliced(76),
    "base64": lambda _, text: f"payload {_base64(text)} end",
    "base64 in lines": lambda _, text: "\n".join(textwrap.wrap(_base64(text), 76)),
}


def is_left(secret: str, text: str, shown: str, form: str) -> bool:
    """Return whether ``shown`` has eight characters of the secret in a row. ``text`` is the text before redaction."""
    shown = re.sub(r"\[REDACTED:[a-z0-9-]+\]", "", shown)
    if form.startswith("base64"):
        blob = _base64(text)
        return any(blob[at : at + 12] in shown.replace("\n", "") for at in range(len(blob) - 11))
    read = urllib.parse.unquote(shown) if form == "URL" else shown.replace("\n", "").replace("\\", "")
    wanted = urllib.parse.unquote(secret) if form == "URL" else secret
    length = min(_LONGEST_LEFT, len(wanted))
    return any(wanted[at : at + length] in read for at in range(len(wanted) - length + 1))
