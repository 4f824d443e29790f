# Sourced after bundle.sh. `admin REQUEST [MORE-MEMBERS]` prints the admin API's answer; succeeds when it is a success.
admin() {
  local control answer
  recall control
  answer=$(ask "${ADMIN_PORT:-7088}" "POST /admin" \
    "{\"janus\":\"$1\",\"transaction\":\"trunkline\",\"admin_secret\":\"$control\"${2-}}" \
    "Content-Type: application/json") || return 1
  [[ $answer == *'"janus": "success"'* ]] || return 1
  printf '%s\n' "$answer"
}
