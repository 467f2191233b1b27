# shellcheck shell=bash
# shellcheck disable=SC2154  # state, bin, root, python, ports and logs are scripts/quickstart's
# The tour. Every line that it prints was checked just before; the first that isn't so ends it.

llm=https://api.llm.example/v1/chat/completions
search="https://api.search.example/search?q=agents"
question='{"model": "sample-1", "messages": [{"role": "user", "content": "Who pays for this?"}]}'
logs=()

# The crew's keys lie beside the ledger, not among the user's own.
nq() {
    XDG_CONFIG_HOME=$state/config NOMIQON_BASE_URL=$base_url NOMIQON_API_KEY=$(<"$state/data/admin.key") \
        "$bin/nomiqon" "$@" 9>&-
}
field() { python3 "$root/scripts/lib/field.py" "$@"; }
connections() { grep -c '"event": "connection"' "$provider_log" || true; }

# make_agent NAME CAP FUND HOST...
make_agent() {
    local name=$1 cap=$2 fund=$3 allow=()
    shift 3
    for host in "$@"; do allow+=(--allow "$host"); done
    nq agents terminate "$name" >/dev/null 2>&1 || true   # of an earlier tour; its ledger rows stay
    nq agents create "$name" --daily-cap "$cap" --fund "$fund" "${allow[@]}" --metadata "crew=$crew" --json \
        >"$tour/$name.json" 2>"$tour/stderr" || fail "creating $name" "$tour/stderr" "${logs[@]}"
}
# mint NAME [OPTION...]: a token in the form that every client takes, http://<CAID>:<token>@host:port
mint() {
    local name=$1
    shift
    nq token mint --agent "$name" --proxy-url "127.0.0.1:$proxy_port" "$@"
}

# get OUT PROXY_URL CURL_ARGUMENT...: OUT.head, OUT.body, OUT.stderr; prints the status that the client saw, that of
# a refused CONNECT included.
get() {
    local out=$1 proxy=$2 codes
    shift 2
    codes=$(curl -sS --max-time 20 --noproxy '' --proxy "$proxy" --cacert "$state/ca.pem" -D "$out.head" -o "$out.body" \
        -w '%{http_connect} %{http_code}' "$@" 2>"$out.stderr" 9>&-) || true
    read -r connect code <<<"$codes"
    if [[ $code == 000 ]]; then echo "$connect"; else echo "$code"; fi
}
refusal() { sed -n 's/^[Xx]-[Nn]omiqon-[Ee]rror: *\([a-z_]*\).*/\1/p' "$1.head" | tail -n 1; }

# expect_ok WHAT PROXY_URL CURL_ARGUMENT...
expect_ok() {
    local what=$1 status
    shift
    status=$(get "$tour/call" "$@")
    [[ $status == 200 ]] || fail "$what: $status $(refusal "$tour/call") instead of 200" "$tour/call.stderr" "${logs[@]}"
}
# expect_refusal WHAT STATUS CODE PROXY_URL CURL_ARGUMENT...: that answer, and no connection at the provider.
expect_refusal() {
    local what=$1 wanted="$2 $3" before got
    shift 3
    before=$(connections)
    got=$(get "$tour/call" "$@")
    got="$got $(refusal "$tour/call")"
    [[ $got == "$wanted" ]] || fail "$what: $got instead of $wanted" "$tour/call.stderr" "${logs[@]}"
    [[ $(connections) == "$before" ]] || fail "$what: something reached the provider" "$provider_log" "$gateway_log"
}

# money NAME: "balance reserved" of its wallet
money() { nq agents show "$1" --json | field wallet.balance wallet.reserved; }
# expect_charge NAME FUND AMOUNT: what was funded less what is left, once nothing is held any more
expect_charge() {
    local name=$1 fund=$2 wanted=$3 balance reserved
    for ((i = 0; i < 100; i++)); do
        read -r balance reserved < <(money "$name")
        if python3 "$root/scripts/lib/amounts.py" "$reserved" = 0 "$fund" - "$balance" = "$wanted"; then return 0; fi
        sleep 0.05
    done
    fail "$name has $balance left of $fund ($reserved held); $wanted should be spent" "$gateway_log"
}

show_allowed() {
    local before
    before=$(connections)
    expect_ok "an allowed call" "$(mint crew-planner)" "$llm" -d "$question"
    [[ $(connections) == $((before + 1)) ]] || fail "an allowed call made other than one connection" "$provider_log"
    expect_charge crew-planner 2.00 0.05
    passed allowed "curl, https://api.llm.example: 200, one connection at the provider, 0.05 USDC charged"

    if [[ -n $python ]]; then
        HTTPS_PROXY=$(mint crew-planner) SSL_CERT_FILE=$state/ca.pem NO_PROXY='' no_proxy='' \
            "$python" "$root/examples/stream_with_httpx.py" >"$tour/httpx" 2>&1 9>&- ||
            fail "httpx" "$tour/httpx" "${logs[@]}"
        HTTPS_PROXY=$(mint crew-researcher) REQUESTS_CA_BUNDLE=$state/ca.pem NO_PROXY='' no_proxy='' \
            "$python" "$root/examples/search_with_requests.py" agents >"$tour/requests" 2>&1 9>&- ||
            fail "requests" "$tour/requests" "${logs[@]}"
        passed clients "Python's httpx (a stream) and requests, unchanged code: 0.05 and 0.01 USDC"
    else
        expect_ok "a second call" "$(mint crew-planner)" "$llm" -d "$question"
        expect_ok "a search" "$(mint crew-researcher)" "$search"
        passed clients "two more calls: 0.05 and 0.01 USDC"
    fi
    expect_charge crew-planner 2.00 0.10
    expect_charge crew-researcher 1.00 0.01

    expect_ok "a plain request" "$(mint crew-researcher)" "http://api.search.example/search?q=plain"
    grep -qi '^x-nomiqon-reserved: 0\.002' "$tour/call.head" || fail "X-Nomiqon-Reserved is missing" "$tour/call.head"
    grep -qiE 'proxy-authorization|x-nomiqon|eyJ' "$provider_log" && fail "the token reached the provider" "$provider_log"
    expect_charge crew-researcher 1.00 0.012
    passed plain "http:// request by request: 0.002 USDC; the provider never saw the token"
}

show_refused() {
    # The blocked name leads to the sample provider too: if anything left, its log would have it.
    expect_refusal "a blocked domain" 403 policy_domain_blocked "$(mint crew-planner)" https://api.blocked.example/
    passed blocked "api.blocked.example: 403 policy_domain_blocked, nothing at the provider (nor at DNS: policy comes first)"

    local token
    token=$(mint crew-planner)
    expect_ok "a token's first use" "$token" "$llm" -d "$question"
    expect_refusal "a token's second use" 407 spend_token_replayed "$token" "$llm" -d "$question"
    expect_charge crew-planner 2.00 0.15
    passed replayed "the same spend token again: 407 spend_token_replayed; it paid once"
}

# 20 workers, each with a token of its own, at once; the day's cap of 0.35 has room for 7 calls of 0.05.
show_race() {
    local before workers=20 i tokens=() accepted=0 refused=0 status
    before=$(connections)
    for ((i = 0; i < workers; i++)); do tokens+=("$(mint crew-writer)"); done
    local running=()
    for ((i = 0; i < workers; i++)); do
        get "$tour/race.$i" "${tokens[i]}" "$llm" -d "$question" >"$tour/race.$i.status" &
        running+=($!)
    done
    wait "${running[@]}"
    for ((i = 0; i < workers; i++)); do
        status="$(<"$tour/race.$i.status") $(refusal "$tour/race.$i")"
        case "$status" in
            "200 ") accepted=$((accepted + 1)) ;;
            "402 policy_cap_exceeded" | "429 policy_cap_reserved") refused=$((refused + 1)) ;;
            *) fail "worker $i got: $status" "$tour/race.$i.stderr" "${logs[@]}" ;;
        esac
    done
    [[ $accepted == 7 ]] || fail "the cap has room for 7 calls; $accepted were let through" "${logs[@]}"
    [[ $(connections) == $((before + 7)) ]] ||
        fail "7 were accepted, but $(($(connections) - before)) reached the provider" "${logs[@]}"
    expect_charge crew-writer 5.00 0.35
    passed race "20 workers at once, a daily cap of 0.35: exactly 7 accepted, $refused refused, 7 connections at the provider"
}

show_freeze() {
    nq agents freeze crew-researcher >/dev/null || fail "freezing" "$gateway_log"
    expect_refusal "a frozen agent" 403 agent_frozen "$(mint crew-researcher)" "$search"
    nq agents unfreeze crew-researcher >/dev/null || fail "unfreezing" "$gateway_log"
    expect_ok "an unfrozen agent" "$(mint crew-researcher)" "$search"
    expect_charge crew-researcher 1.00 0.022
    passed freeze "crew-researcher frozen: the very next call is 403 agent_frozen; unfrozen: 200 again"
}

show_revoke() {
    local token
    token=$(mint crew-planner)   # signed while its key was still good
    nq agents revoke crew-planner >/dev/null || fail "revoking" "$gateway_log"
    expect_refusal "a revoked identity" 403 identity_revoked "$token" "$llm" -d "$question"
    passed revoke "crew-planner's key revoked, for good: 403 identity_revoked, however well the token is signed"
}

# Every call above went to the provider once or not at all: 5 connections of the planner and the researcher at 0.05 and
# 0.01, 1 plain request at 0.002, 7 of the writer at 0.05.
show_ledger() {
    local name sums=() rows
    title "5. The ledger: who spent what"
    nq report spend --group-by crew,agent,host,day >"$tour/report" || fail "the report" "$gateway_log"
    awk -v crew="$crew" 'NR == 1 || $1 == crew { print "  " $0 }' "$tour/report"

    for name in crew-planner crew-researcher crew-writer; do
        sums+=("$(nq agents show "$name" --json | field policy._computed.spentToday)" +)
    done
    rows=$(nq report spend --group-by crew --json | python3 "$root/scripts/lib/field.py" --where "crew=$crew" amount)
    python3 "$root/scripts/lib/amounts.py" "${sums[@]}" 0 = 0.522 "$rows" = 0.522 ||
        fail "the sums do not agree: wallets ${sums[*]} 0, report $rows, should be 0.522" "$gateway_log"
    [[ $(($(connections) - connections_before)) == 13 ]] ||
        fail "13 calls were paid for; $(($(connections) - connections_before)) reached the provider" "${logs[@]}"
    passed sums "0.522 USDC for 13 calls: the agents' days, the report and the provider's own count agree"
}

run_tour() {
    tour=$state/tour
    logs=("$gateway_log" "$provider_log")
    rm -rf "$tour"
    mkdir -p "$tour"
    # The ledger of earlier tours stays, so this one's agents carry a mark of their own.
    crew=tour-$(($(cat "$state/tours" 2>/dev/null || echo 0) + 1))
    echo "${crew#tour-}" >"$state/tours"
    connections_before=$(connections)

    title "3. A crew of three agents"
    make_agent crew-planner 1.00 2.00 api.llm.example
    make_agent crew-researcher 1.00 1.00 api.search.example
    make_agent crew-writer 0.35 5.00 api.llm.example
    note "each has a key pair of its own (only the public half was sent), a wallet, a daily cap and an allowlist"

    title "4. What the gateway does with their calls"
    show_allowed
    show_refused
    show_race
    show_freeze
    show_revoke
    show_ledger
}
