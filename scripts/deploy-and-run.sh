#!/usr/bin/env bash
# deploy-and-run.sh STEP...: the heart classifier in an Azure ML workspace, by `az ml`; docs/deploy.md says what each
# step does. Each can be run again: what is there already is not made twice.
# The knobs come from the environment, or from the Makefile:
#   AZ               the command, `az`; `batchtwin` does the same in a workspace on this machine
#   DRY_RUN          not empty: print the commands, run nothing
#   MODEL            folder of the model to register, `model`
#   ENDPOINT_NAME    instead of the name in .endpoint-name, which create-endpoint makes up
#   DEPLOYMENT_NAME  invoke and list-jobs: this deployment instead of the endpoint's default, or of all
#   JOB_NAME         instead of the last job that invoke started
#   WEB              not empty: `show` opens the job's page too
#   DOWNLOAD_PATH    where `download` puts named-outputs/, `.`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/azure-check.sh
. scripts/azure-check.sh

deploy=(register-model create-compute create-data create-endpoint deploy-simple deploy-custom)
steps=("${deploy[@]}" invoke show stream list-jobs download undeploy)
model_name=heart-classifier-mlflow
data_name=heart-dataset-unlabeled
compute_name=batch-cluster
: "${MODEL:=model}" "${DOWNLOAD_PATH:=.}"
: "${DRY_RUN:=}" "${ENDPOINT_NAME:=}" "${DEPLOYMENT_NAME:=}" "${JOB_NAME:=}" "${WEB:=}"
step=""

fail() {
  echo "deploy-and-run: ${step:+$step: }$*" >&2
  exit 2
}

# stop CODE WORD...: a command of this step ended with CODE; so does the script.
stop() {
  echo "deploy-and-run: $step failed with exit code $1: $(spelled "${@:2}")" >&2
  exit "$1"
}

# The command as one would type it.
spelled() {
  local text
  printf -v text ' %q' ml "$@"
  echo "${az[*]}$text"
}

# Ask `az ml`, without changing anything. A dry run asks nothing and gets no answer.
ask() {
  [[ -n $DRY_RUN ]] || "${az[@]}" ml "$@" || stop $? "$@"
}

# Run `az ml`, saying so; a dry run only says it.
act() {
  if [[ -n $DRY_RUN ]]; then
    spelled "$@"
  else
    echo "\$ $(spelled "$@")" >&2
    "${az[@]}" ml "$@" || stop $? "$@"
  fi
}

# there KIND NAME: does it exist? The list tells; a `show` that fails would not say why.
there() {
  local found
  found=$(ask "$1" list --query "[?name=='$2'].name" --output tsv) || exit
  [[ $found == "$2" ]]
}

# registered KIND NAME CONTENT: is this the content of the version that `@latest` means?
registered() {
  local found
  there "$1" "$2" || return 1
  found=$(ask "$1" show --name "$2" --label latest --query tags.content --output tsv) || exit
  if [[ $found != "$3" ]]; then
    return 1
  fi
  echo "$step: the latest version of $2 has this content; nothing to do" >&2
}

# content FOLDER: a hash over the names and bytes of its files. Kept as a tag, where it must not look like a number.
content() {
  local sha256=(sha256sum)
  command -v sha256sum >/dev/null || sha256=(shasum -a 256)
  local sum
  sum=$(cd "$1" && find . -type f ! -path '*/__pycache__/*' -exec "${sha256[@]}" {} + | LC_ALL=C sort | "${sha256[@]}")
  echo "sha256-${sum%% *}"
}

register_model() {
  local hash
  [[ -f $MODEL/MLmodel ]] || fail "no model in $MODEL; train one: make train"
  hash=$(content "$MODEL")
  registered model "$model_name" "$hash" ||
    act model create --name "$model_name" --type mlflow_model --path "$MODEL" --tags "content=$hash" --output none
}

create_compute() {
  if there compute "$compute_name"; then
    echo "$step: $compute_name is there, and is left as it is" >&2
  else
    act compute create --name "$compute_name" --type amlcompute --min-instances 0 --max-instances 2 --output none
  fi
}

create_data() {
  local hash
  hash=$(content data)
  registered data "$data_name" "$hash" ||
    act data create --file "$data_name.yml" --set "tags.content=$hash" --output none
}

create_endpoint() {
  if [[ -z $ENDPOINT_NAME && -z $DRY_RUN && ! -f .endpoint-name ]]; then
    echo "$(endpoint_base)-$(od -An -N3 -tx1 /dev/urandom | tr -d ' \n')" >.endpoint-name
  fi
  find_endpoint
  # Creating it again would take its default deployment away.
  if there batch-endpoint "$endpoint"; then
    echo "$step: $endpoint is there, and is left as it is" >&2
  else
    act batch-endpoint create --file endpoint.yml --name "$endpoint" --output none
  fi
}

endpoint_base() { sed -n 's/^name: *//p' endpoint.yml; }

find_endpoint() {
  if [[ -n $ENDPOINT_NAME ]]; then
    # As the service keeps it.
    endpoint=$(tr '[:upper:]' '[:lower:]' <<<"$ENDPOINT_NAME")
  elif [[ -f .endpoint-name ]]; then
    endpoint=$(<.endpoint-name)
  elif [[ -n $DRY_RUN ]]; then
    endpoint=$(endpoint_base)-xxxxxx
  else
    fail "no endpoint yet: make create-endpoint (or name one: ENDPOINT_NAME=...)"
  fi
}

deploy_simple() {
  find_endpoint
  act batch-deployment create --file deployment-simple/deployment.yml --endpoint-name "$endpoint" --set-default \
    --output none
}

deploy_custom() {
  find_endpoint
  act batch-deployment create --file deployment-custom/deployment.yml --endpoint-name "$endpoint" --output none
}

invoke() {
  find_endpoint
  local words=(batch-endpoint invoke --name "$endpoint" --input "azureml:$data_name@latest") name
  [[ -z $DEPLOYMENT_NAME ]] || words+=(--deployment-name "$DEPLOYMENT_NAME")
  [[ -z $JOB_NAME ]] || words+=(--job-name "$JOB_NAME")
  words+=(--query name --output tsv)
  if [[ -n $DRY_RUN ]]; then
    act "${words[@]}"
    return
  fi
  name=$(act "${words[@]}") || exit
  [[ -n $name ]] || fail "the endpoint gave no job name"
  echo "$name" | tee "$job_file"
}

find_job() {
  if [[ -n $JOB_NAME ]]; then
    job=$JOB_NAME
  elif [[ -n $DRY_RUN ]]; then
    job=batchjob-xxxxxx
  elif [[ -f $job_file ]]; then
    job=$(<"$job_file")
  else
    fail "no job yet: make invoke (or name one: JOB_NAME=...)"
  fi
}

show() {
  find_job
  act job show --name "$job" ${WEB:+--web}
}

stream() {
  local status
  find_job
  act job stream --name "$job"
  if [[ -z $DRY_RUN ]]; then
    status=$(ask job show --name "$job" --query status --output tsv)
    if [[ $status != Completed ]]; then
      echo "deploy-and-run: $step: job $job is $status, not Completed" >&2
      exit 1
    fi
  fi
}

list_jobs() {
  find_endpoint
  if [[ -n $DEPLOYMENT_NAME ]]; then
    act batch-deployment list-jobs --name "$DEPLOYMENT_NAME" --endpoint-name "$endpoint" --query "[].name" --output tsv
  else
    act batch-endpoint list-jobs --name "$endpoint" --query "[].name" --output tsv
  fi
}

download() {
  find_job
  local words=(job download --name "$job" --output-name score --download-path)
  if [[ -n $DRY_RUN ]]; then
    act "${words[@]}" "$DOWNLOAD_PATH"
    return
  fi
  mkdir -p "$DOWNLOAD_PATH/named-outputs"
  # Into a folder of its own: what an earlier job left must not pass for this one's.
  fresh=$(mktemp -d "$DOWNLOAD_PATH/named-outputs/.fresh-XXXXXX")
  trap 'rm -rf "$fresh"' EXIT
  act "${words[@]}" "$fresh"
  [[ -n $(find "$fresh" -path "*/named-outputs/score/*" -type f) ]] || fail "job $job left no output"
  rm -rf "$DOWNLOAD_PATH/named-outputs/score"
  mv "$fresh/named-outputs/score" "$DOWNLOAD_PATH/named-outputs"
  rm -rf "$fresh"
  find "$(cd "$DOWNLOAD_PATH" && pwd)/named-outputs/score" -type f
}

undeploy() {
  find_endpoint
  if [[ -z $DRY_RUN ]] && ! there batch-endpoint "$endpoint"; then
    echo "$step: there is no $endpoint; nothing to do" >&2
  else
    act batch-endpoint delete --name "$endpoint" --yes
  fi
}

wanted=()
for word in "$@"; do
  if [[ $word == deploy ]]; then
    wanted+=("${deploy[@]}")
  elif [[ " ${steps[*]} " == *" $word "* ]]; then
    wanted+=("$word")
  else
    fail "$word: no such step; there are deploy (the first ${#deploy[@]}), ${steps[*]}"
  fi
done
if ((${#wanted[@]} == 0)); then
  fail "which step? There are deploy (the first ${#deploy[@]}), ${steps[*]}"
fi

read -ra az <<<"${AZ:-az}"
if [[ ${az[0]} == batchtwin && -x .venv/bin/batchtwin ]]; then
  az[0]=.venv/bin/batchtwin
fi
if [[ -z $DRY_RUN ]]; then
  check_azure "${az[@]}"
fi
# A job of the rehearsal is none of the cloud's.
job_file=.job-name${rehearsal:+-rehearsal}

for step in "${wanted[@]}"; do
  "${step//-/_}"
done
