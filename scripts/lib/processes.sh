# shellcheck shell=bash
# Background processes that are remembered in a file and ended by their number, never by name.

# A number alone could by now be somebody else's: the file also has the time at which the process started.
start_time_of() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }   # behind the name, which may hold spaces; the state is then the first field, the start the 20th
    # shellcheck disable=SC2086
    set -- $stat
    [[ "$1" != Z ]] && echo "${20}"
}

# start_process PIDFILE LOG COMMAND...
start_process() {
    local file=$1 log=$2
    shift 2
    # A session of its own: Ctrl-C in the terminal must not reach what is to stay.
    setsid "$@" >>"$log" 2>&1 </dev/null &
    local pid=$!
    echo "$pid $(start_time_of "$pid" || echo gone)" >"$file"
}

is_running() {
    local pid start
    [[ -f "$1" ]] && read -r pid start <"$1" && [[ "$(start_time_of "$pid")" == "$start" ]]
}

# stop_process PIDFILE [SECONDS]: SIGTERM, and SIGKILL when that isn't obeyed.
stop_process() {
    local pid start tries=$((${2-15} * 20))
    is_running "$1" || { rm -f "$1"; return 0; }
    read -r pid start <"$1"
    kill -TERM "$pid" 2>/dev/null || true
    while is_running "$1" && ((tries-- > 0)); do sleep 0.05; done
    if is_running "$1"; then kill -KILL "$pid" 2>/dev/null || true; fi
    rm -f "$1"
}
