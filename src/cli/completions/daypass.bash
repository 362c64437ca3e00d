# Completion of daypass for bash. Written by: daypass completions bash

_daypass() {
    local rest=${COMP_LINE:0:COMP_POINT} words=() last=-1 part trimmed prefix candidate i
    # bash splits words at = : @ too. They are joined again, up to the cursor.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        trimmed=${rest#"${rest%%[![:space:]]*}"}
        part=${COMP_WORDS[i]}
        ((i == COMP_CWORD)) && part=$trimmed
        if ((last < 0)) || [[ $trimmed != "$rest" ]]; then
            words[++last]=$part
        else
            words[last]+=$part
        fi
        rest=${trimmed#"$part"}
    done

    # Readline replaces only the end of the word, which is in $2.
    prefix=${words[last]%"$2"}

    COMPREPLY=()
    while IFS= read -r candidate; do
        if [[ $candidate == / ]]; then
            compopt -o default 2>/dev/null
            return
        fi
        COMPREPLY+=("${candidate#"$prefix"}")
    done < <(command daypass complete -- "${words[@]}" 2>/dev/null)
}

complete -F _daypass daypass
