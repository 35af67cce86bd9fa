# shellcheck shell=bash
# Sourced by deploy-and-run.sh: is everything there that `az ml` needs?

# check_azure AZ...: set `rehearsal`, or name all that is missing, each with the command that adds it, and exit.
check_azure() {
  local az=("$@") missing=()
  rehearsal=""
  if [[ ${az[0]##*/} == batchtwin ]]; then
    rehearsal=yes
  fi
  if ! command -v "${az[0]}" >/dev/null; then
    fail "no ${az[0]} on PATH; the Azure CLI: https://learn.microsoft.com/cli/azure/install-azure-cli" \
      "(or rehearse without Azure: AZ=batchtwin)"
  fi
  [[ -n $rehearsal ]] || look_for_extension
  if [[ -z $rehearsal ]]; then
    look_for_login
    look_for_defaults
    name_missing
  fi
}

look_for_extension() {
  if "${az[@]}" extension show --name ml >/dev/null 2>&1; then
    return
  fi
  # An `az` that is batchtwin has no extensions, and needs none of the rest.
  if [[ $("${az[@]}" --version 2>/dev/null) == batchtwin* ]]; then
    rehearsal=yes
  else
    missing+=("the extension ml: az extension add --name ml")
  fi
}

look_for_login() {
  local account
  if ! account=$("${az[@]}" account show --query name --output tsv 2>/dev/null); then
    missing+=("a login: az login")
  elif [[ $account == "N/A(tenant level account)" ]]; then
    missing+=("a subscription: az account set --subscription NAME_OR_ID")
  fi
}

look_for_defaults() {
  local defaults name
  defaults=$("${az[@]}" configure --list-defaults --query "[].name" --output tsv 2>/dev/null) || defaults=""
  for name in group workspace; do
    if [[ $'\n'$defaults$'\n' != *$'\n'$name$'\n'* ]]; then
      missing+=("a default $name: az configure --defaults $name=NAME")
    fi
  done
}

name_missing() {
  if ((${#missing[@]})); then
    printf 'deploy-and-run: missing %s\n' "${missing[@]}" >&2
    exit 2
  fi
}
