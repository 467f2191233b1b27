# shellcheck shell=bash
# What the scripts say. Colour only on a terminal.

if [[ -t 1 && -z "${NO_COLOR-}" ]]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
    bold='' dim='' green='' red='' plain=''
fi

title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
note() { printf '  %s%s%s\n' "$dim" "$*" "$plain"; }
# passed WHAT PROOF: one line of the tour.
passed() { printf '  %sok%s  %-12s %s\n' "$green" "$plain" "$1" "$2"; }

# fail WHY [FILE...]: says what went wrong, shows the end of each log, and gives up.
fail() {
    local why=$1 file
    shift
    printf '\n%sfailed:%s %s\n' "$red" "$plain" "$why" >&2
    for file in "$@"; do
        if [[ -s "$file" ]]; then
            printf '\n%s--- the last lines of %s ---%s\n' "$dim" "$file" "$plain" >&2
            tail -n 15 -- "$file" >&2
        fi
    done
    exit 1
}
