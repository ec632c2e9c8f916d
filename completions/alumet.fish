# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_alumet_global_optspecs
    string join \n h/help V/version
end

function __fish_alumet_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_alumet_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_alumet_using_subcommand
    set -l cmd (__fish_alumet_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c alumet -n "__fish_alumet_needs_command" -s h -l help -d 'Print help'
complete -c alumet -n "__fish_alumet_needs_command" -s V -l version -d 'Print version'
complete -c alumet -n "__fish_alumet_needs_command" -f -a "exec" -d 'Launch an application and measure it with everything that it starts'
complete -c alumet -n "__fish_alumet_needs_command" -f -a "attach" -d 'Measure processes that run already, with everything that they start'
complete -c alumet -n "__fish_alumet_needs_command" -f -a "compare" -d 'Compare versions of a program: commands, or profiles that `exec --json` has written'
complete -c alumet -n "__fish_alumet_needs_command" -f -a "check" -d 'Gate a pipeline: fail if the command costs more than a baseline'
complete -c alumet -n "__fish_alumet_needs_command" -f -a "doctor" -d 'Find out what can be measured on this machine, how well, and what would change that'
complete -c alumet -n "__fish_alumet_needs_command" -f -a "plugins" -d 'List the plugins: what can be measured here, what cannot, and why'
complete -c alumet -n "__fish_alumet_needs_command" -f -a "config" -d 'Show the configuration in force and where each value comes from'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s r -l runs -d 'Run it so often' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l min-time -d 'Go on until the runs have taken so long together (and at least --runs of them, 10 unless said otherwise)' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s L -l parameter-list -d 'Run it for each of these values, put in the place of {NAME} in the command; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s P -l parameter-scan -d 'Run it for each number from MIN to MAX, put in the place of {NAME} in the command; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s D -l parameter-step-size -d 'The step of --parameter-scan' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l markdown -d 'Write a table for a pull request to FILE, as Markdown' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l csv -d 'Write a row for each version and quantity to FILE, as CSV' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l junit -d 'Write the verdict to FILE, as JUnit XML' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l openmetrics -d 'Write the metrics to FILE, as OpenMetrics (GitLab\'s metrics report)' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s w -l warmup -d 'Run it so often before, without counting that' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l prepare -d 'Execute this with sh before each run' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l cleanup -d 'Execute this with sh after the last run' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l app-output -d 'Where the application writes: pipe (empties it and keeps nothing; the default), null (/dev/null), inherit, or FILE' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l timeout -d 'End the application and all that it has started after this time' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l user -d 'Run the application as this user (USER or USER:GROUP, by name or number); needs root' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s S -l shell -d 'Run the command through this shell, or through `none`' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l idle -d 'Measure for so long what the machine uses when nothing runs, before the application starts' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l ignore-failure -d 'Go on, and end with status 0, even if the application fails (with one of these statuses)' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s e -l event -d 'Count these events, as `perf list` names them (comma-separated; can be repeated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s o -l output -d 'Write every point to FILE, as CSV (of repeated runs to FILE-1, FILE-2, ...)' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l json -d 'Write the totals of the runs to FILE, as JSON' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l carbon -d 'Show the energy as carbon dioxide, at so many grams of CO2 equivalent per kWh' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l price -d 'Show the energy as money, at this price per kWh' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l top -d 'Rows in each break-down of the summary' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s i -l interval -d 'Time between two readings, from 100us up, for every source [default: each plugin\'s own]' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l plugins -d 'Use only these plugins (comma-separated) [default: all that are available]' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l without -d 'Leave these plugins out (comma-separated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l set -d 'Set a plugin\'s option, as in procfs.interval=1s; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l config -d 'Read this configuration file and no other' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l sysfs -d 'Where the machine\'s /sys is' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l procfs -d 'Where the machine\'s /proc is; the application is always followed in the real one' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l show-output -d 'Show what the application writes: --app-output inherit'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l wait-all -d 'Measure until the last process that the application has started has ended'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l per-process -d 'Break the result down by process'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l per-thread -d 'Break the result down by thread'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s q -l quiet -d 'Print no summary'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s v -l verbose -d 'Say more about what was done'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s h -l help -d 'Print help'
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l name -d 'All processes whose command name matches this regular expression, as with pgrep' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l duration -d 'Stop measuring after this time' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -s e -l event -d 'Count these events, as `perf list` names them (comma-separated; can be repeated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -s o -l output -d 'Write every point to FILE, as CSV (of repeated runs to FILE-1, FILE-2, ...)' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l json -d 'Write the totals of the runs to FILE, as JSON' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l carbon -d 'Show the energy as carbon dioxide, at so many grams of CO2 equivalent per kWh' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l price -d 'Show the energy as money, at this price per kWh' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l top -d 'Rows in each break-down of the summary' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -s i -l interval -d 'Time between two readings, from 100us up, for every source [default: each plugin\'s own]' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l plugins -d 'Use only these plugins (comma-separated) [default: all that are available]' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l without -d 'Leave these plugins out (comma-separated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l set -d 'Set a plugin\'s option, as in procfs.interval=1s; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l config -d 'Read this configuration file and no other' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l sysfs -d 'Where the machine\'s /sys is' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l procfs -d 'Where the machine\'s /proc is; the application is always followed in the real one' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l wait-all -d 'Measure until their last descendant has ended, too'
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l per-process -d 'Break the result down by process'
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l per-thread -d 'Break the result down by thread'
complete -c alumet -n "__fish_alumet_using_subcommand attach" -s q -l quiet -d 'Print no summary'
complete -c alumet -n "__fish_alumet_using_subcommand attach" -s v -l verbose -d 'Say more about what was done'
complete -c alumet -n "__fish_alumet_using_subcommand attach" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s n -l name -d 'What a version is called; once for each, in their order' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l pairs -d 'Pairs of runs, 5 at least (with --adaptive, at most so many, 20 at least) [default: 10; adaptive: 40]' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l threshold -d 'A regression is an increase by more than this' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l alpha -d 'The probability of an error' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l gate -l metric -d 'What alone decides: energy, cpu, time, memory, instructions, gpu or an event; each with a threshold of its own if it is to have one, as in energy=2%,time=5%' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l max-time -d 'Start no further pair after this time' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l inconclusive -d 'What an inconclusive comparison counts as: pass or fail' -r -f -a "pass\t''
fail\t''"
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s e -l event -d 'Count these events, as `perf list` names them (comma-separated; can be repeated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l json -d 'Write the comparison to FILE, as JSON' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l markdown -d 'Write a table for a pull request to FILE, as Markdown' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l csv -d 'Write a row for each version and quantity to FILE, as CSV' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l junit -d 'Write the verdict to FILE, as JUnit XML' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l openmetrics -d 'Write the metrics to FILE, as OpenMetrics (GitLab\'s metrics report)' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s L -l parameter-list -d 'Run it for each of these values, put in the place of {NAME} in the command; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s P -l parameter-scan -d 'Run it for each number from MIN to MAX, put in the place of {NAME} in the command; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s D -l parameter-step-size -d 'The step of --parameter-scan' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s w -l warmup -d 'Run it so often before, without counting that' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l prepare -d 'Execute this with sh before each run' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l cleanup -d 'Execute this with sh after the last run' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l app-output -d 'Where the application writes: pipe (empties it and keeps nothing; the default), null (/dev/null), inherit, or FILE' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l timeout -d 'End the application and all that it has started after this time' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l user -d 'Run the application as this user (USER or USER:GROUP, by name or number); needs root' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s S -l shell -d 'Run the command through this shell, or through `none`' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l idle -d 'Measure for so long what the machine uses when nothing runs, before the application starts' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l ignore-failure -d 'Go on, and end with status 0, even if the application fails (with one of these statuses)' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s i -l interval -d 'Time between two readings, from 100us up, for every source [default: each plugin\'s own]' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l plugins -d 'Use only these plugins (comma-separated) [default: all that are available]' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l without -d 'Leave these plugins out (comma-separated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l set -d 'Set a plugin\'s option, as in procfs.interval=1s; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l config -d 'Read this configuration file and no other' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l sysfs -d 'Where the machine\'s /sys is' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l procfs -d 'Where the machine\'s /proc is; the application is always followed in the real one' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l adaptive -d 'End as soon as there is a verdict'
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l require-measured -d 'Refuse to decide by anything but measured energy'
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s q -l quiet -d 'Print nothing but errors'
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l show-output -d 'Show what the application writes: --app-output inherit'
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l wait-all -d 'Measure until the last process that the application has started has ended'
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s h -l help -d 'Print help'
complete -c alumet -n "__fish_alumet_using_subcommand check" -l baseline -d 'The profile to compare with' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l baseline-cmd -d 'The command to compare with' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l pairs -d 'Pairs of runs, 5 at least (with --adaptive, at most so many, 20 at least) [default: 10; adaptive: 40]' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l threshold -d 'A regression is an increase by more than this' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l alpha -d 'The probability of an error' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l gate -l metric -d 'What alone decides: energy, cpu, time, memory, instructions, gpu or an event; each with a threshold of its own if it is to have one, as in energy=2%,time=5%' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l max-time -d 'Start no further pair after this time' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l inconclusive -d 'What an inconclusive comparison counts as: pass or fail' -r -f -a "pass\t''
fail\t''"
complete -c alumet -n "__fish_alumet_using_subcommand check" -s e -l event -d 'Count these events, as `perf list` names them (comma-separated; can be repeated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l json -d 'Write the comparison to FILE, as JSON' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l markdown -d 'Write a table for a pull request to FILE, as Markdown' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l csv -d 'Write a row for each version and quantity to FILE, as CSV' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l junit -d 'Write the verdict to FILE, as JUnit XML' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l openmetrics -d 'Write the metrics to FILE, as OpenMetrics (GitLab\'s metrics report)' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -s w -l warmup -d 'Run it so often before, without counting that' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l prepare -d 'Execute this with sh before each run' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l cleanup -d 'Execute this with sh after the last run' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l app-output -d 'Where the application writes: pipe (empties it and keeps nothing; the default), null (/dev/null), inherit, or FILE' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l timeout -d 'End the application and all that it has started after this time' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l user -d 'Run the application as this user (USER or USER:GROUP, by name or number); needs root' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -s S -l shell -d 'Run the command through this shell, or through `none`' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l idle -d 'Measure for so long what the machine uses when nothing runs, before the application starts' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l ignore-failure -d 'Go on, and end with status 0, even if the application fails (with one of these statuses)' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -s i -l interval -d 'Time between two readings, from 100us up, for every source [default: each plugin\'s own]' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l plugins -d 'Use only these plugins (comma-separated) [default: all that are available]' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l without -d 'Leave these plugins out (comma-separated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l set -d 'Set a plugin\'s option, as in procfs.interval=1s; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l config -d 'Read this configuration file and no other' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l sysfs -d 'Where the machine\'s /sys is' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l procfs -d 'Where the machine\'s /proc is; the application is always followed in the real one' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l adaptive -d 'End as soon as there is a verdict'
complete -c alumet -n "__fish_alumet_using_subcommand check" -l require-measured -d 'Refuse to decide by anything but measured energy'
complete -c alumet -n "__fish_alumet_using_subcommand check" -s q -l quiet -d 'Print nothing but errors'
complete -c alumet -n "__fish_alumet_using_subcommand check" -l show-output -d 'Show what the application writes: --app-output inherit'
complete -c alumet -n "__fish_alumet_using_subcommand check" -l wait-all -d 'Measure until the last process that the application has started has ended'
complete -c alumet -n "__fish_alumet_using_subcommand check" -s h -l help -d 'Print help'
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l save-idle -d 'Measure what this quiet machine uses when nothing runs (for 5s), and save it for later runs' -r
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -s i -l interval -d 'Time between two readings, from 100us up, for every source [default: each plugin\'s own]' -r
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l plugins -d 'Use only these plugins (comma-separated) [default: all that are available]' -r
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l without -d 'Leave these plugins out (comma-separated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l set -d 'Set a plugin\'s option, as in procfs.interval=1s; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l config -d 'Read this configuration file and no other' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l sysfs -d 'Where the machine\'s /sys is' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l procfs -d 'Where the machine\'s /proc is; the application is always followed in the real one' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l json -d 'Print JSON'
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -s i -l interval -d 'Time between two readings, from 100us up, for every source [default: each plugin\'s own]' -r
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -l plugins -d 'Use only these plugins (comma-separated) [default: all that are available]' -r
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -l without -d 'Leave these plugins out (comma-separated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -l set -d 'Set a plugin\'s option, as in procfs.interval=1s; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -l config -d 'Read this configuration file and no other' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -l sysfs -d 'Where the machine\'s /sys is' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -l procfs -d 'Where the machine\'s /proc is; the application is always followed in the real one' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -l json -d 'Print JSON'
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -s h -l help -d 'Print help'
complete -c alumet -n "__fish_alumet_using_subcommand config" -s i -l interval -d 'Time between two readings, from 100us up, for every source [default: each plugin\'s own]' -r
complete -c alumet -n "__fish_alumet_using_subcommand config" -l plugins -d 'Use only these plugins (comma-separated) [default: all that are available]' -r
complete -c alumet -n "__fish_alumet_using_subcommand config" -l without -d 'Leave these plugins out (comma-separated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand config" -l set -d 'Set a plugin\'s option, as in procfs.interval=1s; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand config" -l config -d 'Read this configuration file and no other' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand config" -l sysfs -d 'Where the machine\'s /sys is' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand config" -l procfs -d 'Where the machine\'s /proc is; the application is always followed in the real one' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand config" -s h -l help -d 'Print help (see more with \'--help\')'
