#!/usr/bin/env bash
# Allows a pipeline's principal what it needs, and nothing more; or a person's. reference/acls.md says what that is, and why.
set -euo pipefail

usage() {
    cat << 'TEXT'
usage: acls.sh --bootstrap-server HOST:PORT --principal User:NAME --group GROUP [option…]

  --bootstrap-server HOST:PORT   where an administrator reaches the brokers
  --principal User:NAME          as whom the brokers see the pipeline: its user, or the subject of its certificate or token
  --group GROUP                  kafka.group; by default that is eddy- and the pipeline's name
  --events TOPIC                 topics.events (default: events); of several, run this once for each, and of a pattern
                                 take the commands that `eddy topics` prints
  --predictions TOPIC            topics.predictions (default: predictions)
  --retraining TOPIC             topics.retraining (default: retraining)
  --dead-letters TOPIC           topics.dead_letters (default: dead-letters)
  --guarantee GUARANTEE          kafka.guarantee: exactly-once (default) or at-least-once
  --recall                       allows instead what a person needs for eddy why, samples, replay, redrive and profile --since
  --brokers-before-2.8           also allows what such brokers want for at-least-once
  --command-config FILE          properties of the administrator's client, for kafka-acls.sh
  --remove                       takes back what would be allowed
  --dry-run                      prints the commands and runs nothing

It runs kafka-acls.sh, or kafka-acls, whichever is in the PATH; KAFKA_ACLS names another one.
TEXT
}

wrong() {
    printf 'acls.sh: %s\n\n' "$*" >&2
    usage >&2
    exit 64
}

bootstrap='' principal='' group='' command_config=''
events=events predictions=predictions retraining=retraining dead_letters=dead-letters
guarantee=exactly-once before_2_8=false recall=false action=add dry_run=false

while (($#)); do
    case $1 in
        --brokers-before-2.8) before_2_8=true ;;
        --recall) recall=true ;;
        --remove) action=remove ;;
        --dry-run) dry_run=true ;;
        -h | --help)
            usage
            exit 0
            ;;
        --bootstrap-server | --principal | --group | --events | --predictions | --retraining | --dead-letters | --guarantee | --command-config)
            (($# > 1)) && [[ -n $2 ]] || wrong "$1 needs a value"
            case $1 in
                --bootstrap-server) bootstrap=$2 ;;
                --principal) principal=$2 ;;
                --group) group=$2 ;;
                --events) events=$2 ;;
                --predictions) predictions=$2 ;;
                --retraining) retraining=$2 ;;
                --dead-letters) dead_letters=$2 ;;
                --guarantee) guarantee=$2 ;;
                --command-config) command_config=$2 ;;
            esac
            shift
            ;;
        *) wrong "there is no option $1" ;;
    esac
    shift
done

[[ -n $bootstrap ]] || wrong '--bootstrap-server is missing'
[[ -n $group ]] || wrong '--group is missing'
[[ $principal == *:?* ]] || wrong '--principal is missing, or not written as User:NAME'
[[ $guarantee == exactly-once || $guarantee == at-least-once ]] || wrong "--guarantee is exactly-once or at-least-once, not $guarantee"

tool=${KAFKA_ACLS:-}
if [[ -z $tool ]]; then
    tool=$(command -v kafka-acls.sh || command -v kafka-acls || true)
fi
if [[ -z $tool ]]; then
    $dry_run || wrong 'neither kafka-acls.sh nor kafka-acls is in the PATH; set KAFKA_ACLS'
    tool=kafka-acls.sh
fi

acls() { # what is to be allowed, in the tool's words
    local command=("$tool" --bootstrap-server "$bootstrap")
    [[ -z $command_config ]] || command+=(--command-config "$command_config")
    command+=("--$action" --allow-principal "$principal" "$@")
    [[ $action == add ]] || command+=(--force)
    if $dry_run; then
        printf '%q ' "${command[@]}"
        echo
    else
        "${command[@]}"
    fi
}

if $recall; then
    acls --operation Read --topic "$events" --topic "$predictions" --topic "$retraining" --topic "$dead_letters"
    acls --operation Describe --group "$group"
    acls --operation Write --topic "$events"
    acls --operation Read --group "$group-redrive-" --resource-pattern-type prefixed
    acls --operation Write --transactional-id "$group-redrive-" --resource-pattern-type prefixed
    exit
fi
acls --operation Read --topic "$events" --group "$group"
acls --operation Write --topic "$predictions" --topic "$retraining" --topic "$dead_letters"
if [[ $guarantee == exactly-once ]]; then
    acls --operation Write --transactional-id "$group-" --resource-pattern-type prefixed
elif $before_2_8; then
    acls --operation IdempotentWrite --cluster
fi
