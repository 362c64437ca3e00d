# Completion of daypass for fish. Written by: daypass completions fish

function __daypass_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l candidates (command daypass complete --described -- $words "$current" 2>/dev/null)
    if test "$candidates" = /
        __fish_complete_path "$current"
        return
    end
    for candidate in $candidates
        echo -- $candidate
    end
end

complete --command daypass --no-files --arguments '(__daypass_complete)'
