# bash completion for the commands of Bulkhead, all in this file: each command's name is a
# link to it.  What the running system or its configuration knows is asked of the commands that
# lie beside the one being typed; what may not be asked is not offered.

# getopt's letters of a command: "x:" takes a value.
_bulkhead_options() {
    case $1 in
    mailq | newaliases | sendmail) echo 'A:B:C:F:GIL:N:O:R:UV:X:ab:ce:f:h:imno:p:qr:tvx' ;;
    postalias) echo 'c:d:fijnNopq:rsuvw' ;;
    postcat) echo 'bc:dehoqrs:v' ;;
    postconf) echo 'aAbc:C:defFhHjlmMno:pPqtT:vxX#' ;;
    postdrop) echo 'c:rv' ;;
    postkick) echo 'c:v' ;;
    postlock) echo 'c:l:v' ;;
    postlog) echo 'c:ip:t:v' ;;
    postmap) echo 'bc:d:fFhijmnNopq:rsuUvw' ;;
    postmulti) echo 'ae:g:i:jlpvxG:I:R' ;;
    postqueue) echo 'c:fi:jps:v' ;;
    postsuper) echo 'c:d:e:f:h:H:pr:sSv' ;;
    qshape) echo 'b:c:lm:N:n:pst:w:' ;;
    esac
}

# The folder that -c (sendmail: -C) has named already.
_bulkhead_folder() {
    local i
    for ((i = 1; i < cword - 1; i++)); do
        [[ ${words[i]} == -[cC] ]] && REPLY=${words[i + 1]} && return
    done
    REPLY=
}

# Runs a command from the folder of the typed one, for the folder that -c names.
_bulkhead_ask() {
    local path=${words[0]} REPLY
    [[ $path == */* ]] && path=${path%/*}/ || path=
    _bulkhead_folder
    ${REPLY:+env MAIL_CONFIG="${REPLY/#\~/$HOME}"} "$path$@" 2>/dev/null </dev/null
}

_bulkhead_words() { COMPREPLY+=($(compgen -W "$*" -- "$cur")); }
_bulkhead_folders() { COMPREPLY+=($(compgen -d -- "$cur")) && compopt -o filenames; }
_bulkhead_files() { COMPREPLY+=($(compgen -f -- "$cur")) && compopt -o filenames; }

_bulkhead_configurations() {
    _bulkhead_words "$(_bulkhead_ask postconf -h multi_instance_directories alternate_config_directories)"
    _bulkhead_folders
}

# The names of all environments.
_bulkhead_environments() {
    local folder primary=$(_bulkhead_ask postconf -h multi_instance_name)
    echo "${primary:--}"
    for folder in $(_bulkhead_ask postconf -h multi_instance_directories | tr , ' '); do
        _bulkhead_ask postconf -c "$folder" -h multi_instance_name
    done
}

# Ids of queued mail, of one queue when $1 names it.
_bulkhead_ids() {
    _bulkhead_ask postqueue -j | head -n 1000 |
        sed -n "s/.*\"queue_name\": *\"${1:-[a-z]*}\", *\"queue_id\": *\"\([0-9A-Za-z]*\)\".*/\1/p"
}

# type:file, the types as postconf -m has them.
_bulkhead_tables() {
    if [[ $cur == *:* ]]; then
        local type=${cur%%:*}: file
        for file in $(compgen -f -- "${cur#*:}"); do
            COMPREPLY+=("$type$file")
        done
        compopt -o filenames
        __ltrim_colon_completions "$cur"
    else
        COMPREPLY+=($(compgen -W "$(_bulkhead_ask postconf -m)" -S : -- "$cur"))
        compopt -o nospace
        _bulkhead_files
    fi
}

# Parameters or services, by what the options before say postconf is to do.
_bulkhead_postconf_names() {
    local before=" ${words[*]:1:cword-1}"
    if [[ $before =~ ' '-[a-zA-Z]*[MFP] ]]; then
        _bulkhead_words "$(_bulkhead_ask postconf -M | awk '{ print $1 "/" $2 }')"
    elif [[ $before =~ ' '-[a-zA-Z]*[X#n] ]]; then
        _bulkhead_words "$(_bulkhead_ask postconf -n -H)"
    elif [[ $before =~ ' '-[a-zA-Z]*e ]]; then
        COMPREPLY+=($(compgen -W "$(_bulkhead_ask postconf -H)" -S = -- "$cur"))
        compopt -o nospace
    else
        _bulkhead_words "$(_bulkhead_ask postconf -H)"
    fi
}

# The value of option -$2 of command $1.
_bulkhead_value() {
    case $1:$2 in
    sendmail:C | mailq:C | newaliases:C | post*:c | qshape:c) _bulkhead_configurations ;;
    sendmail:B) _bulkhead_words 7BIT 8BITMIME ;;
    sendmail:N) _bulkhead_words never success failure delay success,failure failure,delay ;;
    sendmail:R) _bulkhead_words full hdrs ;;
    postqueue:i) _bulkhead_words "$(_bulkhead_ids deferred)" ;;
    postqueue:s) _bulkhead_words "$(_bulkhead_ask postconf -x -h fast_flush_domains | tr , ' ')" ;;
    postsuper:H) _bulkhead_words "$(_bulkhead_ids hold)" ALL - ;;
    postsuper:[defhr]) _bulkhead_words "$(_bulkhead_ids)" ALL - ;;
    postmulti:e) _bulkhead_words init create import enable disable assign deport destroy ;;
    postmulti:i) _bulkhead_words "$(_bulkhead_environments)" ;;
    postmulti:g) _bulkhead_words "$(_bulkhead_ask postmulti -l | awk '$2 != "-" { print $2 }')" ;;
    postlog:p) _bulkhead_words info warn error fatal panic ;;
    postlock:l) _bulkhead_words fcntl flock dotlock ;;
    postconf:C) _bulkhead_words builtin service user all ;;
    postconf:T) _bulkhead_words compile-version run-version public-key-algorithms ;;
    postconf:o)
        COMPREPLY+=($(compgen -W "$(_bulkhead_ask postconf -H)" -S = -- "$cur"))
        compopt -o nospace ;;
    esac
}

# What is no option, for command $1.
_bulkhead_operand() {
    case $1 in
    postmap | postalias) _bulkhead_tables ;;
    postconf) _bulkhead_postconf_names ;;
    postcat)
        if [[ " ${words[*]:1:cword-1}" =~ ' '-[a-z]*q ]]; then
            _bulkhead_words "$(_bulkhead_ids)"
        else
            _bulkhead_files
        fi ;;
    postsuper | qshape) _bulkhead_words maildrop incoming active deferred hold ;;
    postkick)
        case ${words[cword - 1]} in
        public) _bulkhead_words qmgr pickup ;;
        qmgr) _bulkhead_words W I D A F ;;
        pickup) _bulkhead_words W ;;
        *) _bulkhead_words public private ;;
        esac ;;
    postlock) _bulkhead_files ;;
    postmulti) _bulkhead_words start stop reload flush check status config_directory= queue_directory= data_directory= mail_owner= ;;
    esac
}

_bulkhead_command() {
    local cur prev words cword split
    _init_completion -n =: || return
    local name=${words[0]##*/} letter
    local options=$(_bulkhead_options "$name")
    letter=${prev: -1}
    if [[ $prev == -[!-]* && $letter != '#' && $options == *"$letter:"* ]]; then
        _bulkhead_value "$name" "$letter"
    elif [[ $cur == -* ]]; then
        _bulkhead_words $(sed 's/://g; s/./-& /g' <<<"$options") --help
        [[ $name == postconf ]] && _bulkhead_words --coverage
    else
        _bulkhead_operand "$name"
    fi
}

_bulkhead_spool() {
    case $prev in
    -c | --config) _bulkhead_configurations ;;
    --env) _bulkhead_words "$(_bulkhead_environments)" ;;
    --follow) _bulkhead_words "$(_bulkhead_ids)" ;;
    --wait)
        compopt -o nospace
        COMPREPLY+=($(compgen -W 'maildrop incoming active deferred hold corrupt total' -S = -- "$cur")) ;;
    --timeout) _bulkhead_words 10 30 60 ;;
    *) _bulkhead_words -c --env --json --wait --follow --timeout --help ;;
    esac
}

_bulkhead() {
    local cur prev words cword split i verb=
    _init_completion -n =: || return
    for ((i = 1; i < cword; i++)); do
        case ${words[i]} in
        -c) ((++i)) ;;
        -*) ;;
        *) verb=${words[i]}; break ;;
        esac
    done
    case $verb in
    '')
        if [[ $prev == -c ]]; then
            _bulkhead_configurations
        else
            _bulkhead_words -c -v -D start start-fg stop quick-stop drain abort reload flush check status \
                logrotate set-permissions upgrade-configuration spool route user help
        fi ;;
    status) _bulkhead_words --json --pids ;;
    spool) _bulkhead_spool ;;
    route)
        case $prev in
        --env) _bulkhead_words "$(_bulkhead_environments)" ;;
        --from | --to | --client | --login | --service) ;;
        *) _bulkhead_words --to --from --env --client --login --service --json ;;
        esac ;;
    user)
        case $prev in
        --env) _bulkhead_words "$(_bulkhead_environments)" ;;
        --method) _bulkhead_words yescrypt bcrypt sha512 ;;
        *) _bulkhead_words add passwd delete list --env --method --plain ;;
        esac ;;
    esac
}

complete -F _bulkhead bulkhead postfix
complete -F _bulkhead_command mailq newaliases postalias postcat postconf postdrop postkick postlock postlog \
    postmap postmulti postqueue postsuper qshape sendmail
