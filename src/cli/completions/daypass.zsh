#compdef daypass
# Completion of daypass for zsh. Written by: daypass completions zsh

_daypass() {
    local line
    local -a lines described
    lines=("${(@f)$(command daypass complete --described -- "${(@)words[1,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
    if [[ $lines[1] == / ]]; then
        compset -P '*='
        _files
        return
    fi
    for line in $lines; do
        if [[ $line == *$'\t'* ]]; then
            described+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        else
            described+=("${line//:/\\:}")
        fi
    done
    _describe daypass described
}

if [[ $funcstack[1] == _daypass ]]; then
    _daypass "$@"
else
    compdef _daypass daypass
fi
