"""Secrets that their own form gives away: a provider's prefix and enough characters after it.

The formats are those that the providers describe. The lists of gitleaks, betterleaks and Kingfisher were compared with this one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_LONG_PREFIX: Final = 5
_WORD_BEGINS: Final = r"\b"
# So many formats are one expression for RE2. It builds its automaton while it reads, and a large one takes long to build.
_TOGETHER: Final = 25
# Kind, the prefixes, and what follows a prefix. All prefixes are literal, so the kind of a match follows from its beginning.
PREFIXED: Final[tuple[tuple[str, tuple[str, ...], str], ...]] = (
    ("anthropic-key", ("sk-ant-",), r"[\w-]{8,}"),
    ("openai-token", ("sk-proj-", "sk-svcacct-", "sk-admin-"), r"[\w-]{16,}"),
    ("openrouter-key", ("sk-or-v1-",), r"[\w-]{16,}"),
    ("langfuse-key", ("sk-lf-", "pk-lf-"), r"[\w-]{16,}"),
    ("groq-key", ("gsk_",), r"\w{16,}"),
    ("xai-key", ("xai-",), r"[\w-]{32,}"),
    ("perplexity-key", ("pplx-",), r"\w{16,}"),
    ("replicate-token", ("r8_",), r"\w{16,}"),
    ("hugging-face-token", ("hf_", "api_org_"), r"[A-Za-z0-9]{28,}"),
    ("nvidia-key", ("nvapi-",), r"[\w-]{16,}"),
    ("tavily-key", ("tvly-",), r"[\w-]{16,}"),
    ("langsmith-key", ("lsv2_pt_", "lsv2_sk_"), r"\w{16,}"),
    ("github-token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"), r"\w{16,}"),
    (
        "gitlab-token",
        (
            *(
                "glpat-",
                "gldt-",
                "glrt-",
                "glcbt-",
                "glptt-",
                "glft-",
                "glimt-",
                "glagent-",
                "gloas-",
                "glsoat-",
                "glffct-",
            ),
            *("GR1348941",),
        ),
        r"[\w.-]{16,}",
    ),
    ("atlassian-token", ("ATBB", "ATCTT3", "ATATT3"), r"[\w=-]{24,}"),
    ("npm-token", ("npm_",), r"[A-Za-z0-9]{30,}"),
    ("pypi-token", ("pypi-AgE",), r"[\w-]{16,}"),
    ("rubygems-key", ("rubygems_",), r"[a-f0-9]{16,}"),
    ("crates-token", ("cio",), r"[A-Za-z0-9]{32}"),
    ("docker-token", ("dckr_pat_", "dckr_oat_"), r"[\w-]{16,}"),
    ("docker-swarm-token", ("SWMTKN-1-", "SWMKEY-1-"), r"[\w-]{16,}"),
    ("jfrog-token", ("AKCp", "cmVmdGtuO"), r"[A-Za-z0-9]{10,}"),
    ("nuget-key", ("oy2",), r"[a-z0-9]{43}"),
    (
        "slack-token",
        ("xoxa-", "xoxb-", "xoxe-", "xoxe.xoxp-", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xoxc-", "xoxd-"),
        r"[\w%-]{10,}",
    ),
    ("slack-token", ("xapp-",), r"[\w-]{16,}"),
    ("stripe-key", ("sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"), r"[\w+/=]{16,}"),
    ("square-token", ("sq0atp-", "sq0csp-", "EAAA"), r"[\w-]{22,}"),
    ("shopify-token", ("shpat_", "shpca_", "shppa_", "shpss_"), r"[A-Fa-f0-9]{16,}"),
    ("sendgrid-key", ("SG.",), r"[\w-]{16,}\.[\w-]{16,}"),
    ("sendinblue-key", ("xkeysib-", "xsmtpsib-"), r"[\w-]{16,}"),
    ("mailgun-key", ("key-",), r"[a-f0-9]{32}"),
    ("mailersend-key", ("mlsn.",), r"[A-Za-z0-9]{32,}"),
    ("resend-key", ("re_",), r"[A-Za-z0-9]{8}_[A-Za-z0-9]{16,}"),
    ("twilio-key", ("SK",), r"[a-f0-9]{32}\b"),
    ("aws-access-key", ("AKIA", "ASIA", "ABIA", "ACCA"), r"[A-Z0-9]{16}\b"),
    ("aws-session-token", ("IQoJb3JpZ2lu", "FwoGZXIvYXdz", "AQoDYXdz"), r"[A-Za-z0-9+/=]{40,}"),
    ("aws-bedrock-key", ("ABSKQmVkcm9ja0FQSUtleS", "bedrock-api-key-"), r"[A-Za-z0-9+/=]{16,}"),
    ("google-api-key", ("AIza",), r"[\w-]{30,}"),
    ("google-oauth-secret", ("GOCSPX-",), r"[\w-]{16,}"),
    ("google-oauth-token", ("ya29.",), r"[\w.-]{20,}"),
    ("digitalocean-token", ("dop_v1_", "doo_v1_", "dor_v1_"), r"[a-f0-9]{16,}"),
    ("databricks-token", ("dapi",), r"[a-f0-9]{32}(?:-\d)?"),
    ("vault-token", ("hvs.", "hvb.", "hvr."), r"[\w-]{16,}"),
    ("doppler-token", ("dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."), r"[\w.-]{16,}"),
    ("linear-key", ("lin_api_", "lin_oauth_"), r"\w{16,}"),
    ("notion-token", ("ntn_", "secret_"), r"[A-Za-z0-9]{40,}"),
    ("figma-token", ("figd_", "figo_", "figu_"), r"[\w-]{16,}"),
    ("postman-key", ("PMAK-",), r"[a-f0-9-]{24,}"),
    ("newrelic-key", ("NRAK-", "NRJS-", "NRII-", "NRRA-"), r"[\w-]{16,}"),
    ("sentry-token", ("sntrys_", "sntryu_"), r"[\w+/=-]{16,}"),
    ("grafana-token", ("glsa_", "glc_"), r"[\w+/=]{16,}"),
    ("posthog-key", ("phx_", "phs_"), r"\w{16,}"),
    ("pulumi-token", ("pul-",), r"[a-f0-9]{40}"),
    ("planetscale-secret", ("pscale_pw_", "pscale_tkn_", "pscale_oauth_"), r"[\w.-]{16,}"),
    ("supabase-token", ("sbp_", "sb_secret_"), r"\w{16,}"),
    ("neon-key", ("napi_",), r"\w{32,}"),
    ("tailscale-key", ("tskey-",), r"[\w-]{16,}"),
    ("cloudflare-key", ("v1.0-",), r"[a-f0-9]{24}-[a-f0-9]{146}"),
    ("fly-token", ("FlyV1 fm2_", "fm2_", "fo1_"), r"[\w+/=,-]{16,}"),
    ("heroku-key", ("HRKU-",), r"[\w-]{16,}"),
    ("vercel-token", ("vcp_", "vci_", "vca_", "vcr_", "vck_"), r"\w{24,}"),
    ("netlify-token", ("nfp_",), r"\w{24,}"),
    ("render-key", ("rnd_",), r"\w{24,}"),
    ("circleci-token", ("CCIPAT_", "CCIPRJ_"), r"\w{16,}"),
    ("buildkite-token", ("bkua_",), r"[a-f0-9]{32,}"),
    ("snyk-token", ("snyk_",), r"[\w.-]{24,}"),
    ("sonar-token", ("squ_", "sqp_", "sqa_"), r"[a-f0-9]{32,}"),
    ("atlassian-token", ("ATSTT3",), r"[\w=-]{24,}"),
    ("1password-token", ("ops_eyJ",), r"[\w=-]{24,}"),
    ("dynatrace-token", ("dt0c01.", "dt0s01.", "dt0s02.", "dt0s16."), r"[A-Za-z0-9.]{24,}"),
    ("age-key", ("AGE-SECRET-KEY-1",), r"[A-Z0-9]{20,}"),
    ("facebook-token", ("EAACEdEose0cBA", "EAAG", "EAAB"), r"[A-Za-z0-9]{40,}"),
    ("easypost-key", ("EZAK", "EZTK"), r"[A-Za-z0-9]{54}"),
    ("shippo-token", ("shippo_live_", "shippo_test_"), r"[a-f0-9]{32,}"),
    ("duffel-token", ("duffel_live_", "duffel_test_"), r"[\w=-]{32,}"),
    ("flutterwave-key", ("FLWSECK-", "FLWSECK_TEST-"), r"[A-Za-z0-9-]{12,}"),
    ("readme-key", ("rdme_",), r"[a-z0-9]{40,}"),
    ("prefect-key", ("pnu_", "pnb_"), r"[a-zA-Z0-9]{32,}"),
    ("contentful-token", ("CFPAT-",), r"[\w-]{32,}"),
    ("clojars-token", ("CLOJARS_",), r"[a-z0-9]{32,}"),
    ("google-gemini-key", ("AQ.Ab8R",), r"[\w-]{30,}"),
    ("aikido-token", ("AIK_CI_", "AIK_SECRET_"), r"\w{24,}"),
    ("apify-token", ("apify_api_",), r"\w{24,}"),
    ("asaas-token", ("$aact_",), r"\w{24,}"),
    ("bitbucket-token", ("BBDC-",), r"[\w+/]{32,}"),
    ("buildkite-token", ("bkar_",), r"\w{32,}"),
    ("cerebras-key", ("csk-",), r"[a-z0-9]{40,}"),
    ("cloudflare-key", ("cfat_", "cfut_", "cfk_"), r"\w{36,}"),
    ("cockroach-key", ("CCDB1_",), r"\w{32,}"),
    ("cursor-key", ("key_", "crsr_"), r"[a-f0-9]{64}"),
    ("databento-key", ("db-",), r"[A-Za-z0-9]{29}\b"),
    ("datastax-token", ("AstraCS:",), r"[A-Za-z0-9:]{20,}"),
    ("deno-token", ("ddp_", "ddo_"), r"[A-Za-z0-9]{36}"),
    ("devcycle-key", ("dvc_client_", "dvc_mobile_", "dvc_server_"), r"\w{12,}"),
    ("elastic-key", ("essu_",), r"[\w+/=]{32,}"),
    ("elevenlabs-key", ("sk_",), r"[a-f0-9]{48}"),
    ("endor-key", ("endr+",), r"[A-Za-z0-9]{16}"),
    ("frameio-token", ("fio-u-",), r"[\w=-]{40,}"),
    ("infracost-key", ("ico-",), r"[A-Za-z0-9]{32}"),
    ("ionic-token", ("ion_",), r"[A-Za-z0-9]{42}"),
    ("lichess-token", ("lip_",), r"[A-Za-z0-9]{20,}"),
    ("llama-cloud-key", ("llx-",), r"[A-Za-z0-9]{40,}"),
    ("mem0-key", ("m0-",), r"[A-Za-z0-9]{40}"),
    ("mercury-token", ("mercury_production_",), r"\w{24,}"),
    ("mergify-key", ("mergify_application_key_",), r"\w{24,}"),
    ("midtrans-key", ("Mid-server-", "Mid-client-"), r"[\w-]{16,}"),
    ("minimax-key", ("sk-api-",), r"[\w-]{32,}"),
    ("mongodb-secret", ("mdb_sa_sk_",), r"[\w-]{32,}"),
    ("nylas-key", ("nyk_",), r"[A-Za-z0-9]{40,}"),
    ("onesignal-key", ("os_v2_app_", "os_v2_org_"), r"[a-z2-7]{64,}"),
    ("openshift-token", ("sha256~",), r"[\w-]{40,}"),
    ("paddle-key", ("pdl_live_apikey_", "pdl_sdbx_apikey_"), r"\w{24,}"),
    ("pinecone-key", ("pcsk_",), r"\w{32,}"),
    ("pinterest-token", ("pina_",), r"\w{32,}"),
    ("polar-token", ("polar_oat_", "polar_pat_", "polar_at_o_"), r"\w{24,}"),
    ("ramp-secret", ("ramp_sec_",), r"\w{24,}"),
    ("rootly-key", ("rootly_",), r"[a-f0-9]{64}"),
    ("sourcegraph-token", ("sgp_", "slk_"), r"[\w-]{40,}"),
    ("temporal-key", ("tmprl_",), r"\w{24,}"),
    ("unkey-key", ("unkey_",), r"\w{20,}"),
    ("wandb-key", ("wandb_v1_",), r"\w{32,}"),
    ("yandex-token", ("AQVN", "YCAJ", "t1.9eu"), r"[\w-]{35,}"),
    ("zuplo-key", ("zpka_",), r"\w{32,}"),
)

# Kind and expression. A group, if there is one, is the secret.
SHAPED: Final[tuple[tuple[str, str], ...]] = (
    ("json-web-token", r"\bey[A-Za-z0-9_-]{10,}\.ey[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"),
    ("openai-token", r"\bsk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20,}"),
    ("secret-key", r"\bsk-[A-Za-z0-9]{32,}\b"),
    ("google-oauth-token", r"\b1//0[\w-]{30,}|\b4/0A[\w-]{30,}"),
    ("amazon-token", r"\bamzn\.mws\.[a-f0-9-]{36}"),
    ("paypal-token", r"\baccess_token\$\w{4,20}\$[a-z0-9]{16}\$[a-f0-9]{32}"),
    ("hubspot-token", r"\bpat-(?:na|eu|ap)\d-[a-f0-9-]{36}"),
    ("vault-token", r"\bb\.AAAAAQ[\w-]{30,}"),
    ("twitch-token", r"\boauth:[a-z0-9]{30}\b"),
    ("paseto-token", r"\bv[1-4]\.(?:local|public)\.[\w-]{30,}"),
    ("sentry-key", r"://([a-f0-9]{32})(?::[a-f0-9]{32})?@"),
    ("terraform-token", r"\b[A-Za-z0-9]{14}\.atlasv1\.[\w-]{20,}"),
    ("discord-token", r"\b[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}"),
    ("telegram-token", r"[0-9]{8,10}:AA[\w-]{32,}"),
    ("azure-secret", r"\b[\w~.-]{3}[0-9]Q~[\w~.-]{31,34}"),
    ("mailchimp-key", r"\b[a-f0-9]{32}-us[0-9]{1,2}\b"),
    ("airtable-token", r"\bpat[A-Za-z0-9]{14}\.[a-f0-9]{32,}"),
    ("slack-webhook", r"hooks\.slack\.com/(?:services|workflows|triggers)/([\w/]{20,})"),
    ("discord-webhook", r"discord(?:app)?\.com/api/webhooks/([0-9]{10,}/[\w-]{20,})"),
    ("teams-webhook", r"webhook\.office\.com/webhookb2/([\w@/-]{40,})"),
    ("password-hash", r"\$(?:1|5|6|y|apr1|2[abxy]|argon2(?:id?|d)|scrypt|pbkdf2-sha\d+)\$[\w./$=,+-]{20,}"),
    ("cloudinary-url", r"cloudinary://[0-9]+:([\w-]{16,})@"),
    ("one-time-password", r"otpauth://[^\s\"']{1,200}?[?&]secret=([A-Z2-7]{8,})"),
    ("1password-key", r"\bA3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}\b"),
)

# The beginning and the end of a private key. A key without an end is removed to the end of the text.
PRIVATE_KEY: Final = "private-key"
BEGIN_OF_KEY: Final = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d"
END_OF_KEY: Final = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|Private-MAC: *[0-9a-f]*"


def prefixed_expressions() -> Iterator[str]:
    """Yield expressions for all prefixed formats. A short prefix counts only at the beginning of a word."""
    rows = [
        rf"(?:{'|'.join(('' if len(prefix) > _LONG_PREFIX else _WORD_BEGINS) + re.escape(prefix) for prefix in prefixes)}){rest}"
        for _, prefixes, rest in PREFIXED
    ]
    for at in range(0, len(rows), _TOGETHER):
        yield "|".join(rows[at : at + _TOGETHER])


def kind_of(token: bytes) -> str:
    """Return the kind of a token that matches the expression of the prefixed formats."""
    return _BY_PREFIX[max((prefix for prefix in _BY_PREFIX if token.startswith(prefix)), key=len)]


_BY_PREFIX: Final = {prefix.encode(): kind for kind, prefixes, _ in PREFIXED for prefix in prefixes}
