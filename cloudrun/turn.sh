#!/bin/sh
# Start-up script of the relay's machine (Debian 12): coturn with a certificate of its own name.
# Runs at each start; the secret comes from Secret Manager and stays in a file of coturn's alone.
set -eu
metadata() {
    curl --silent --fail --header 'Metadata-Flavor: Google' \
        "http://metadata.google.internal/computeMetadata/v1/$1"
}
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

domain=$(metadata instance/attributes/turn-domain)
address=$(metadata instance/network-interfaces/0/access-configs/0/external-ip)
project=$(metadata project/project-id)

command -v turnserver >/dev/null || {
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends coturn certbot
}
# Renewed by certbot's own timer; coturn reads the new one when it is told to (SIGUSR2).
[ -d "/etc/letsencrypt/live/$domain" ] ||
    certbot certonly --standalone --non-interactive --agree-tos --register-unsafely-without-email \
        --domain "$domain" --deploy-hook 'install -o turnserver -m 600 "$RENEWED_LINEAGE"/fullchain.pem "$RENEWED_LINEAGE"/privkey.pem /var/lib/turn/ && pkill -USR2 turnserver || true'

umask 077
mkdir -p /var/lib/turn
for part in fullchain privkey; do
    install -o turnserver -m 600 "/etc/letsencrypt/live/$domain/$part.pem" /var/lib/turn/
done
token=$(metadata instance/service-accounts/default/token | field access_token)
secret=$(curl --silent --fail --config - \
    "https://secretmanager.googleapis.com/v1/projects/$project/secrets/parley-turn/versions/latest:access" <<EOF | python3 -c 'import base64, json, sys; print(base64.b64decode(json.load(sys.stdin)["payload"]["data"]).decode())'
header = "Authorization: Bearer $token"
EOF
)
{
    metadata instance/attributes/turnserver-conf
    printf '\nstatic-auth-secret=%s\nrealm=%s\nexternal-ip=%s\n' "$secret" "$domain" "$address"
    printf 'cert=/var/lib/turn/fullchain.pem\npkey=/var/lib/turn/privkey.pem\n'
} >/etc/turnserver.conf
chown turnserver /etc/turnserver.conf /var/lib/turn
systemctl enable --quiet coturn
systemctl restart coturn
