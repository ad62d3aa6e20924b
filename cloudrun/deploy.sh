#!/usr/bin/env bash
# Parley on Google Cloud: what there has to be, and how a new version gets there.
#
#     cloudrun/deploy.sh [--dry-run] [--config FILE] COMMAND
#
#     setup            make what is missing: network, database, keys, secrets, balancer, relay
#     lock             lock the anchors' bucket for ever: read cloudrun/README.md first
#     build            build the image of this commit and say its digest
#     deploy           roles and schema, then the new version with 10, 50, 100 % of the traffic
#     rollback         all traffic to the version before; the schema stays
#     status           what serves, and what the log says of itself
#     render FOLDER    only fill the templates in
#
# Every call may be repeated. --dry-run prints each one and changes nothing.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
config="$here/config.env" dry=""
# Seconds between steps of the traffic, in which what fails would show.
PAUSE="${PAUSE:-60}"

say() { printf '%s\n' "$*" >&2; }
die() { say "deploy.sh: $*"; exit 1; }

call() { # change something, or say what would change it
    printf '+ %s\n' "$(printf '%q ' "$@")"
    [ -n "$dry" ] || "$@"
}

ask() { # learn something; nothing is asked in a dry run
    if [ -n "$dry" ]; then printf '%s' "${ANSWER:-}"; else "$@" 2>/dev/null || true; fi
}

ensure() { # ensure WHAT KIND-OF-GCLOUD… -- OPTIONS…: create it unless it can be described
    local what=$1 kind=() where=()
    shift
    while [ "$1" != -- ]; do kind+=("$1"); shift; done
    shift
    while [ "$1" != -- ]; do where+=("$1"); shift; done
    shift
    if [ -n "$dry" ]; then
        say "unless there is: gcloud ${kind[*]} describe $what ${where[*]}"
    elif gcloud "${kind[@]}" describe "$what" "${where[@]}" >/dev/null 2>&1; then
        return
    fi
    call gcloud "${kind[@]}" create "$what" "${where[@]}" "$@"
}

# --- configuration and templates ---------------------------------------------------------

settings="PROJECT REGION ZONE DOMAIN TURN_DOMAIN CHECKPOINT_ORIGIN IMAGE WEB_MIN WEB_MAX
GATEWAY_MIN GATEWAY_MAX WORKERS SQL_TIER SQL_CONNECTIONS REDIS_GB FILES_BUCKET ANCHOR_BUCKET
ANCHOR_KEEP_DAYS"

# Connections to PostgreSQL that one instance may have: each process holds itself to what is
# declared here, by app/connections.py, or does not start.
WEB_CONNECTIONS=15 GATEWAY_CONNECTIONS=24 WORKER_CONNECTIONS=7
# Sealers (two, and two more while they are replaced), schedulers, three jobs, and what PostgreSQL
# and Google keep for themselves.
OTHER_CONNECTIONS=28

connections() { # all there can be: while a version comes, beside the most instances, its first
    echo $(((WEB_MAX + WEB_MIN) * WEB_CONNECTIONS + (GATEWAY_MAX + GATEWAY_MIN) * GATEWAY_CONNECTIONS +
        2 * WORKERS * WORKER_CONNECTIONS + OTHER_CONNECTIONS))
}

tier_connections() { # what Google gives a machine of that memory: cloud.google.com/sql/docs/postgres/flags
    local mb=${SQL_TIER##*-} least most=25
    [[ $SQL_TIER =~ ^db-custom-[0-9]+-[0-9]+$ ]] || { echo 262143; return; } # not told by its name
    for least in 1700:50 3840:100 6144:200 7680:400 15360:500 30720:600 61440:800 122880:1000; do
        [ "$mb" -lt "${least%:*}" ] || most=${least#*:}
    done
    echo "$most"
}

fits() { # a line for each number of connections that there is no room for
    local needed takes
    needed=$(connections) takes=$(tier_connections)
    [ "$needed" -le "$SQL_CONNECTIONS" ] ||
        echo "  - SQL_CONNECTIONS is $SQL_CONNECTIONS, and there can be $needed: fewer instances" \
            "(WEB_MAX, GATEWAY_MAX, WORKERS), or a larger SQL_TIER with more connections"
    [ "$SQL_CONNECTIONS" -le "$takes" ] ||
        echo "  - SQL_CONNECTIONS is $SQL_CONNECTIONS, and $SQL_TIER takes $takes: a larger one, or fewer"
}

configure() {
    [ -f "$config" ] || die "$config is missing: copy config.env.example and fill it in."
    local line name value problems=""
    while IFS= read -r line || [ -n "$line" ]; do
        case "$line" in '' | '#'*) continue ;; esac
        name=${line%%=*} value=${line#*=}
        case " $(echo $settings) " in
            *" $name "*) printf -v "$name" '%s' "$value" ;;
            *) problems="$problems"$'\n'"  - $name: there is no such setting" ;;
        esac
    done <"$config"
    for name in $settings; do
        value=${!name:-}
        case "$name" in
            *_MIN | *_MAX | WORKERS | *_CONNECTIONS | *_GB | *_DAYS)
                [[ $value =~ ^[0-9]+$ ]] || problems="$problems"$'\n'"  - $name must be a number" ;;
            IMAGE)
                [[ $value =~ @sha256:[0-9a-f]{64}$ ]] ||
                    problems="$problems"$'\n'"  - $name must end with @sha256: and a digest" ;;
            *)
                [[ $value =~ ^[A-Za-z0-9./:_-]+$ ]] ||
                    problems="$problems"$'\n'"  - $name is missing, or has other signs than a name" ;;
        esac
    done
    [ -n "$problems" ] || problems=$(fits)
    [ -z "$problems" ] || die "$config cannot be used:"$'\n'"${problems#$'\n'}"
    local digest=${IMAGE##*:}
    # A revision's name is used once.
    RELEASE=${RELEASE:-${digest:0:8}-$(date -u +%m%d%H%M%S)}
    FILESTORE_ADDRESS=${FILESTORE_ADDRESS:-}
}

filled() { # a template's text, with its parts in their places and every ${NAME} filled in
    local line part indent
    while IFS= read -r line || [ -n "$line" ]; do
        if [[ $line =~ ^(\ *)#\ include\ ([a-z]+\.yaml)$ ]]; then
            indent=${BASH_REMATCH[1]} part=${BASH_REMATCH[2]}
            while IFS= read -r line || [ -n "$line" ]; do printf '%s%s\n' "$indent" "$(names "$line")"; done \
                <"$here/templates/$part"
        elif [[ $line =~ ^(\ *)#\ include\ traffic$ ]]; then
            traffic "${BASH_REMATCH[1]}"
        else
            printf '%s\n' "$(names "$line")"
        fi
    done <"$here/templates/$1"
}

names() {
    local text=$1 name
    while [[ $text =~ \$\{([A-Z_]+)\} ]]; do
        name=${BASH_REMATCH[1]}
        [ -n "${!name:-}" ] || die "a template wants $name, which nothing says."
        text=${text//"\${$name}"/${!name}}
    done
    printf '%s' "$text"
}

serving="" # the revision that has the traffic now; empty at first
traffic() {
    if [ -n "$serving" ]; then
        printf '%straffic:\n' "$1"
        printf '%s  - {revisionName: %s, percent: 100}\n' "$1" "$serving"
        printf '%s  - {latestRevision: true, percent: 0, tag: candidate}\n' "$1"
    else
        printf '%straffic:\n%s  - {latestRevision: true, percent: 100}\n' "$1" "$1"
    fi
}

render() { # every template that is a whole, into a folder
    mkdir -p "$1"
    local name
    for name in roles migrate manage web gateway worker scheduler sealer routes redirect; do
        filled "$name.yaml" >"$1/$name.yaml"
    done
}

# --- secrets -----------------------------------------------------------------------------
# What may be read by whom. Nothing else may read anything.

secrets="
parley-turn                 web gateway worker migrate turn
parley-django               web gateway worker migrate
parley-jwt                  web gateway worker migrate
parley-fields               web gateway worker migrate
parley-pseudonyms           web gateway worker migrate
parley-blind-index          web gateway worker migrate
parley-redis-url            web gateway worker migrate sealer
parley-redis-ca             web gateway worker migrate sealer
parley-database-url-app     web gateway worker migrate roles
parley-database-url-owner   migrate roles
parley-database-url-sealer  sealer roles
parley-database-url-admin   roles
parley-signing              sealer
parley-metrics              web gateway worker sealer
"

# Its value comes by standard input: an argument could be read by anybody on this machine.
make_secret() { # make_secret NAME COMMAND…: a secret with what the command prints, once
    local name=$1
    shift
    ensure "$name" secrets -- --project "$PROJECT" -- \
        --replication-policy user-managed --locations "$REGION"
    if [ -n "$dry" ]; then
        say "unless it has a version: $1 | gcloud secrets versions add $name --data-file -"
    elif [ -z "$(gcloud secrets versions list "$name" --project "$PROJECT" --format 'value(name)')" ]; then
        "$@" | gcloud secrets versions add "$name" --project "$PROJECT" --data-file -
    fi
}

secret_value() { gcloud secrets versions access latest --secret "$1" --project "$PROJECT"; }
random_key() { openssl rand -base64 32 | tr -d '\n'; }
random_text() { openssl rand -base64 64 | tr -d '\n/+='; }
database_url() { # by the socket that Cloud Run connects to Cloud SQL, with its own TLS
    printf 'postgres://%s:%s@%%2Fcloudsql%%2F%s%%3A%s%%3Aparley/%s' \
        "$1" "$(openssl rand -hex 24)" "$PROJECT" "$REGION" "$2"
}
redis_url() {
    local host port
    host=$(gcloud redis instances describe parley --region "$REGION" --project "$PROJECT" --format 'value(host)')
    port=$(gcloud redis instances describe parley --region "$REGION" --project "$PROJECT" --format 'value(port)')
    printf 'rediss://:%s@%s:%s/0?ssl_cert_reqs=required&ssl_ca_certs=/run/secrets/redis/ca.pem' \
        "$(gcloud redis instances get-auth-string parley --region "$REGION" --project "$PROJECT" --format 'value(authString)')" "$host" "$port"
}
redis_ca() {
    gcloud redis instances describe parley --region "$REGION" --project "$PROJECT" \
        --format 'value(serverCaCerts[].cert)'
}

# --- setup -------------------------------------------------------------------------------

account() { printf '%s@%s.iam.gserviceaccount.com' "parley-$1" "$PROJECT"; }

setup() {
    set -- --project "$PROJECT"
    say "# the services of Google that Parley uses"
    call gcloud services enable "$@" artifactregistry.googleapis.com cloudbuild.googleapis.com \
        cloudkms.googleapis.com compute.googleapis.com file.googleapis.com \
        monitoring.googleapis.com redis.googleapis.com \
        run.googleapis.com secretmanager.googleapis.com servicenetworking.googleapis.com \
        sqladmin.googleapis.com

    say "# a network of its own, with a way to Google's services in it"
    ensure parley compute networks -- "$@" -- --subnet-mode custom
    ensure parley compute networks subnets -- "$@" --region "$REGION" -- \
        --network parley --range 10.10.0.0/20 --enable-private-ip-google-access
    ensure parley-services compute addresses -- "$@" --global -- \
        --purpose VPC_PEERING --prefix-length 20 --network parley
    call gcloud services vpc-peerings update "$@" --service servicenetworking.googleapis.com \
        --network parley --ranges parley-services --force

    say "# who runs what, with no right but those named here"
    local who
    for who in web gateway worker sealer migrate roles turn; do
        ensure "$(account $who)" iam service-accounts -- "$@" -- --display-name "Parley: $who"
    done
    for who in web gateway worker sealer migrate roles; do
        grant projects "$PROJECT" $who roles/cloudsql.client
    done
    for who in web gateway worker sealer; do
        grant projects "$PROJECT" $who roles/monitoring.metricWriter
    done

    say "# the key that wraps data keys: Parley may use it, and nobody here may destroy it"
    ensure parley kms keyrings -- "$@" --location "$REGION" --
    ensure main kms keys -- "$@" --location "$REGION" --keyring parley -- \
        --purpose encryption --rotation-period 90d \
        --next-rotation-time "$(date -u -d '+90 days' +%Y-%m-%dT00:00:00Z)"
    for who in web gateway worker; do
        call gcloud kms keys add-iam-policy-binding main "$@" --location "$REGION" --keyring parley \
            --member "serviceAccount:$(account $who)" --role roles/cloudkms.cryptoKeyEncrypterDecrypter
    done

    say "# buckets: members' files, and the log's checkpoints"
    bucket "$FILES_BUCKET" --soft-delete-duration 0
    bucket "$ANCHOR_BUCKET" --retention-period "${ANCHOR_KEEP_DAYS}d"
    for who in web worker; do
        bucket_right "$FILES_BUCKET" $who roles/storage.objectUser
    done
    bucket_right "$ANCHOR_BUCKET" worker roles/storage.objectCreator
    bucket_right "$ANCHOR_BUCKET" worker roles/storage.objectViewer
    bucket_right "$ANCHOR_BUCKET" worker roles/storage.legacyBucketReader

    say "# the database, Redis, and a folder for exports and the list of erasures (minutes each)"
    ensure parley sql instances -- "$@" -- --region "$REGION" --database-version POSTGRES_17 \
        --edition enterprise --tier "$SQL_TIER" --availability-type regional \
        --network "projects/$PROJECT/global/networks/parley" --no-assign-ip \
        --ssl-mode ENCRYPTED_ONLY --database-flags "max_connections=$SQL_CONNECTIONS" \
        --backup-start-time 02:00 --enable-point-in-time-recovery --retained-backups-count 30 \
        --deletion-protection
    ensure parley redis instances -- "$@" --region "$REGION" -- --size "$REDIS_GB" \
        --tier standard --network "projects/$PROJECT/global/networks/parley" \
        --connect-mode private-service-access --enable-auth \
        --transit-encryption-mode server-authentication --redis-version redis_7_2
    ensure parley filestore instances -- "$@" --zone "$ZONE" -- --tier basic_hdd \
        --file-share name=parley,capacity=1TB \
        --network name=parley,connect-mode=private-service-access
    folders "$@"

    say "# secrets, made once; Parley is given the newest when a version is deployed"
    make_secret parley-turn random_text
    make_secret parley-django random_text
    make_secret parley-jwt random_text
    make_secret parley-fields random_key
    make_secret parley-pseudonyms random_key
    make_secret parley-blind-index random_key
    make_secret parley-signing random_key
    make_secret parley-metrics cat "$here/monitoring/collector.yaml"
    make_secret parley-redis-url redis_url
    make_secret parley-redis-ca redis_ca
    make_secret parley-database-url-app database_url parley_web parley
    make_secret parley-database-url-owner database_url parley_owner parley
    make_secret parley-database-url-sealer database_url parley_log parley
    make_secret parley-database-url-admin database_url postgres postgres
    administrator
    local name readers
    while read -r name readers; do
        for who in $readers; do
            call gcloud secrets add-iam-policy-binding "$name" "$@" \
                --member "serviceAccount:$(account "$who")" --role roles/secretmanager.secretAccessor
        done
    done < <(grep . <<<"$secrets")

    balancer "$@"
    relay "$@"
    say "Point DNS: $DOMAIN to the balancer, $TURN_DOMAIN to the relay. Then: deploy.sh build"
}

grant() { # grant projects PROJECT ACCOUNT ROLE
    call gcloud "$1" add-iam-policy-binding "$2" --member "serviceAccount:$(account "$3")" \
        --role "$4" --condition None
}

bucket() {
    local name=$1
    shift
    ensure "gs://$name" storage buckets -- --project "$PROJECT" -- --location "$REGION" \
        --uniform-bucket-level-access --public-access-prevention "$@"
}

bucket_right() {
    call gcloud storage buckets add-iam-policy-binding "gs://$1" \
        --member "serviceAccount:$(account "$2")" --role "$3"
}

# The administrator's password is set by the API itself: gcloud would want it as an argument.
administrator() {
    if [ -n "$dry" ]; then
        say "the password of parley-database-url-admin becomes that of Cloud SQL's user postgres"
        return
    fi
    local password
    password=$(secret_value parley-database-url-admin | sed 's|^postgres://postgres:\([^@]*\)@.*|\1|')
    printf '{"password": "%s"}' "$password" | curl --silent --show-error --fail-with-body --output /dev/null \
        --config <(printf 'header = "Authorization: Bearer %s"\n' "$(gcloud auth print-access-token)") \
        --header 'Content-Type: application/json' --request PUT --data @- \
        "https://sqladmin.googleapis.com/v1/projects/$PROJECT/instances/parley/users?name=postgres"
}

filestore_address() {
    FILESTORE_ADDRESS=$(ANSWER=10.0.0.2 ask gcloud filestore instances describe parley \
        --project "$PROJECT" --zone "$ZONE" --format 'value(networks[0].ipAddresses[0])')
    [ -n "$FILESTORE_ADDRESS" ] || die "Filestore 'parley' is not there: deploy.sh setup makes it."
}

folders() { # a new share belongs to root, and Parley is not root
    filestore_address
    call gcloud run jobs deploy parley-folders "$@" --region "$REGION" --image debian:stable-slim \
        --network parley --subnet parley --max-retries 0 \
        --add-volume "name=state,type=nfs,location=$FILESTORE_ADDRESS:/parley" \
        --add-volume-mount volume=state,mount-path=/srv/parley --command install \
        --args=-d,-o,10001,-g,10001,-m,700,/srv/parley/state,/srv/parley/erasures
    call gcloud run jobs execute parley-folders "$@" --region "$REGION" --wait
}

balancer() {
    say "# the balancer: TLS, /ws to the gateway, everything else to the web service"
    ensure parley compute addresses -- "$@" --global --
    ensure parley compute ssl-certificates -- "$@" --global -- --domains "$DOMAIN"
    ensure parley compute ssl-policies -- "$@" --global -- --profile RESTRICTED --min-tls-version 1.2
    local service
    for service in web gateway; do
        ensure parley-$service compute network-endpoint-groups -- "$@" --region "$REGION" -- \
            --network-endpoint-type serverless --cloud-run-service parley-$service
        ensure parley-$service compute backend-services -- "$@" --global -- \
            --load-balancing-scheme EXTERNAL_MANAGED
        if [ -z "$(ask gcloud compute backend-services describe parley-$service "$@" --global \
            --format 'value(backends[].group)')" ]; then
            call gcloud compute backend-services add-backend parley-$service "$@" --global \
                --network-endpoint-group parley-$service --network-endpoint-group-region "$REGION"
        fi
    done
    filled routes.yaml >"$work/routes.yaml"
    filled redirect.yaml >"$work/redirect.yaml"
    call gcloud compute url-maps import parley "$@" --global --quiet --source "$work/routes.yaml"
    call gcloud compute url-maps import parley-http "$@" --global --quiet --source "$work/redirect.yaml"
    ensure parley compute target-https-proxies -- "$@" --global -- --url-map parley \
        --ssl-certificates parley --ssl-policy parley --quic-override NONE
    ensure parley-http compute target-http-proxies -- "$@" --global -- --url-map parley-http
    ensure parley compute forwarding-rules -- "$@" --global -- --address parley --ports 443 \
        --load-balancing-scheme EXTERNAL_MANAGED --target-https-proxy parley
    ensure parley-http compute forwarding-rules -- "$@" --global -- --address parley --ports 80 \
        --load-balancing-scheme EXTERNAL_MANAGED --target-http-proxy parley-http
}

relay() {
    say "# coturn on a machine of its own: Cloud Run takes no UDP from outside"
    ensure parley-turn compute addresses -- "$@" --region "$REGION" --
    ensure parley-turn compute firewall-rules -- "$@" -- --network parley --direction INGRESS \
        --allow tcp:80,tcp:3478,udp:3478,tcp:5349,udp:49152-65535 --target-tags parley-turn
    ensure parley-turn compute instances -- "$@" --zone "$ZONE" -- --machine-type e2-small \
        --image-family debian-12 --image-project debian-cloud --subnet parley \
        --address parley-turn --tags parley-turn --shielded-secure-boot \
        --service-account "$(account turn)" --scopes cloud-platform \
        --metadata "turn-domain=$TURN_DOMAIN" \
        --metadata-from-file "startup-script=$here/turn.sh,turnserver-conf=$here/turnserver.conf"
}

lock() {
    say "A locked policy can never be taken back: nobody deletes a checkpoint for $ANCHOR_KEEP_DAYS days."
    [ -n "$dry" ] || { read -r -p "Type the bucket's name to lock it: " name; [ "$name" = "$ANCHOR_BUCKET" ] || die "not locked."; }
    call gcloud storage buckets update "gs://$ANCHOR_BUCKET" --lock-retention-period --quiet
}

# --- versions ----------------------------------------------------------------------------

build() {
    local tag
    tag=$(git -C "$here" rev-parse --short=12 HEAD)
    ensure parley artifacts repositories -- --project "$PROJECT" --location "$REGION" -- --repository-format docker
    call gcloud builds submit "$here/.." --project "$PROJECT" --region "$REGION" \
        --tag "$REGION-docker.pkg.dev/$PROJECT/parley/parley:$tag"
    local image="$REGION-docker.pkg.dev/$PROJECT/parley/parley"
    say "Put into config.env: IMAGE=$image@$(ANSWER='sha256:…' ask gcloud artifacts docker images describe \
        "$image:$tag" --format 'value(image_summary.digest)')"
}

serving_of() { # the revision with the most traffic
    ask gcloud run services describe "$1" --project "$PROJECT" --region "$REGION" \
        --flatten 'status.traffic[]' \
        --format 'value(status.traffic.percent,status.traffic.revisionName)' |
        sort -rn | awk 'NR == 1 { print $NF }'
}

run_job() {
    call gcloud run jobs replace "$work/$1.yaml" --project "$PROJECT" --region "$REGION"
    call gcloud run jobs execute "parley-$1" --project "$PROJECT" --region "$REGION" --wait
}

deploy() {
    filestore_address
    local service step old_web old_gateway
    old_web=$(ANSWER=${DRY_WEB:-} serving_of parley-web)
    old_gateway=$(ANSWER=${DRY_GATEWAY:-} serving_of parley-gateway)
    render "$work"
    serving=$old_web && filled web.yaml >"$work/web.yaml"
    serving=$old_gateway && filled gateway.yaml >"$work/gateway.yaml"

    say "# first the database: the version that serves now bears the new schema"
    run_job roles
    run_job migrate
    call gcloud run jobs replace "$work/manage.yaml" --project "$PROJECT" --region "$REGION"

    say "# the new version, without traffic; it is ready when this returns"
    for service in web gateway; do
        call gcloud run services replace "$work/$service.yaml" --project "$PROJECT" --region "$REGION"
    done
    if [ -n "$old_web$old_gateway" ]; then
        for step in 10 50 100; do
            shift_traffic web "$old_web" "$step"
            shift_traffic gateway "$old_gateway" "$step"
            call sleep "$PAUSE"
            if ! call curl --silent --show-error --fail --max-time 10 --output /dev/null "https://$DOMAIN/readyz"; then
                say "$DOMAIN is not ready: everything goes back to the version before."
                shift_traffic web "$old_web" 0
                shift_traffic gateway "$old_gateway" 0
                die "not deployed. The schema stays as it is: both versions bear it."
            fi
        done
    fi
    say "# what nobody connects to"
    for service in sealer worker scheduler; do
        call gcloud beta run worker-pools replace "$work/$service.yaml" --project "$PROJECT" --region "$REGION"
    done
    say "Deployed: $RELEASE. Back to the version before: deploy.sh rollback"
}

shift_traffic() { # shift_traffic SERVICE OLD PERCENT: so much to the new revision
    [ -n "$2" ] || return 0
    local parts="parley-$1-$RELEASE=$3,$2=$((100 - $3))"
    [ "$3" -lt 100 ] || parts="parley-$1-$RELEASE=100"
    [ "$3" -gt 0 ] || parts="$2=100"
    call gcloud run services update-traffic "parley-$1" --project "$PROJECT" --region "$REGION" \
        --to-revisions "$parts"
}

before() { # the newest revision that is older than the one that serves
    local all
    all=$(ask gcloud run revisions list --project "$PROJECT" --region "$REGION" --service "$1" \
        --sort-by '~metadata.creationTimestamp' --format 'value(metadata.name)')
    awk -v serving="$2" 'found { print; exit } $0 == serving { found = 1 }' <<<"$all"
}

rollback() {
    local service now old
    for service in web gateway; do
        now=$(ANSWER=${DRY_NOW:-} serving_of "parley-$service")
        old=$(ANSWER=${DRY_REVISIONS:-} before "parley-$service" "$now")
        [ -n "$old" ] || die "there is no revision of parley-$service before ${now:-any}."
        call gcloud run services update-traffic "parley-$service" --project "$PROJECT" \
            --region "$REGION" --to-revisions "$old=100"
    done
    local release=${old#parley-gateway-}
    for service in sealer worker scheduler; do
        call gcloud beta run worker-pools update-instance-split "parley-$service" --project "$PROJECT" \
            --region "$REGION" --to-revisions "parley-$service-$release=100"
    done
    say "Back at $release. The schema stays: a migration is written so that the version before bears it."
}

status() {
    local service
    for service in web gateway; do
        call gcloud run services describe "parley-$service" --project "$PROJECT" --region "$REGION" \
            --format 'table(status.traffic.revisionName,status.traffic.percent)'
    done
    call gcloud run jobs execute parley-manage --project "$PROJECT" --region "$REGION" --wait \
        --args manage,audit_status
}

# -----------------------------------------------------------------------------------------

while [ $# -gt 0 ]; do
    case "$1" in
        --dry-run) dry=yes ;;
        --config) shift; config=${1:?--config needs a file} ;;
        -*) die "there is no option $1" ;;
        *) break ;;
    esac
    shift
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case "${1:-}" in
    setup | lock | build | deploy | rollback | status) configure; "$1" ;;
    render)
        [ -n "${2:-}" ] || die "render where? deploy.sh render FOLDER"
        configure
        FILESTORE_ADDRESS=${FILESTORE_ADDRESS:-10.0.0.2}
        render "$2" ;;
    *) sed -n '2,16s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
