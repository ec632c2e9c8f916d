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
complete -c alumet -n "__fish_alumet_needs_command" -f -a "attach" -d 'Measure running processes, with everything that they start'
complete -c alumet -n "__fish_alumet_needs_command" -f -a "compare" -d 'Compare versions of a program: commands, or profiles that `exec --json` has written'
complete -c alumet -n "__fish_alumet_needs_command" -f -a "check" -d 'Gate a pipeline: fail if the command costs more than a baseline'
complete -c alumet -n "__fish_alumet_needs_command" -f -a "doctor" -d 'Find out what can be measured on this machine, how well, and what would change that'
complete -c alumet -n "__fish_alumet_needs_command" -f -a "plugins" -d 'List the plugins: what can be measured here, what cannot, and why'
complete -c alumet -n "__fish_alumet_needs_command" -f -a "config" -d 'Show the configuration in force and where each value comes from'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s r -l runs -d 'Number of runs' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l min-time -d 'Least total time of all runs; there are at least --runs of them (default: 10)' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s L -l parameter-list -d 'Run the command for each of these comma-separated values of {NAME} in it; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s P -l parameter-scan -d 'Run the command for each number from MIN to MAX as {NAME} in it; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s D -l parameter-step-size -d 'Step of --parameter-scan' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s w -l warmup -d 'Number of warm-up runs, not counted' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l prepare -d 'Shell command to execute before each run' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l cleanup -d 'Shell command to execute after the last run' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l app-output -d 'Where its output goes: pipe (discarded; the default), null (/dev/null), inherit, or FILE' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l timeout -d 'End the application and all that it started after this time' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l user -d 'Run it as USER or USER:GROUP, by name or number; needs root' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s S -l shell -d 'Run the command through this shell (`default`: sh; `none`)' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l idle -d 'Measure the machine\'s idle power for this time before the start' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l ignore-failure -d 'Accept failures (or only these statuses): go on, and end with 0' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s e -l event -d 'Events to count, as in `perf list` (comma-separated; repeatable)' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s o -l output -d 'Write every point to FILE, as CSV (repeated runs: FILE-1, ...)' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l json -d 'Write the totals of the runs to FILE (`-`: stdout), as JSON' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l carbon -d 'Show the CO2 of the energy, at this many grams per kWh' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l price -d 'Show the cost of the energy, at this price per kWh' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l top -d 'Number of rows in each of these tables' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l markdown -d 'Write a table for a pull request to FILE, as Markdown' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l csv -d 'Write a row for each version and quantity to FILE, as CSV' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l junit -d 'Write the verdict to FILE, as JUnit XML' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l openmetrics -d 'Write the metrics to FILE, as OpenMetrics' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s i -l interval -d 'Time between two readings, 100us or more [default: each plugin\'s]' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l plugins -d 'Use only these plugins (comma-separated) [default: all that are available]' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l without -d 'Do not use these plugins (comma-separated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l set -d 'Set an option of a plugin, as in procfs.interval=1s; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l config -d 'Read this configuration file, and no other' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l sysfs -d 'Directory to read instead of /sys' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l procfs -d 'Directory to read instead of /proc for what concerns the machine' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l show-output -d 'Show the output of the application (same as --app-output inherit)'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l wait-all -d 'Measure until the last process of the application has ended'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l per-process -d 'Show a table of the processes'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l per-thread -d 'Show a table of the threads'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s q -l quiet -d 'Print no summary'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s v -l verbose -d 'Show more details'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s h -l help -d 'Print help'
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l name -d 'Measure all processes whose command name matches this regular expression, as pgrep does' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l duration -d 'Stop measuring after this time' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -s e -l event -d 'Events to count, as in `perf list` (comma-separated; repeatable)' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -s o -l output -d 'Write every point to FILE, as CSV (repeated runs: FILE-1, ...)' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l json -d 'Write the totals of the runs to FILE (`-`: stdout), as JSON' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l carbon -d 'Show the CO2 of the energy, at this many grams per kWh' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l price -d 'Show the cost of the energy, at this price per kWh' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l top -d 'Number of rows in each of these tables' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -s i -l interval -d 'Time between two readings, 100us or more [default: each plugin\'s]' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l plugins -d 'Use only these plugins (comma-separated) [default: all that are available]' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l without -d 'Do not use these plugins (comma-separated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l set -d 'Set an option of a plugin, as in procfs.interval=1s; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l config -d 'Read this configuration file, and no other' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l sysfs -d 'Directory to read instead of /sys' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l procfs -d 'Directory to read instead of /proc for what concerns the machine' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l wait-all -d 'Measure until the last descendant has ended, too'
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l per-process -d 'Show a table of the processes'
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l per-thread -d 'Show a table of the threads'
complete -c alumet -n "__fish_alumet_using_subcommand attach" -s q -l quiet -d 'Print no summary'
complete -c alumet -n "__fish_alumet_using_subcommand attach" -s v -l verbose -d 'Show more details'
complete -c alumet -n "__fish_alumet_using_subcommand attach" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s n -l name -d 'What a version is called; once for each, in their order' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l pairs -d 'Number of pairs of runs, at least 5 (with --adaptive the largest number, at least 20) [default: 10; adaptive: 40]' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l threshold -d 'Largest increase that is no regression' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l alpha -d 'Accepted probability of a wrong verdict' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l gate -l metric -d 'Metrics that decide, and no others: energy, cpu, time, memory, instructions, gpu or an event; each can have its own threshold, as in energy=2%,time=5%' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l max-time -d 'Start no further pair after this time' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l inconclusive -d 'Result of an inconclusive comparison: pass or fail' -r -f -a "pass\t''
fail\t''"
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s e -l event -d 'Events to count, as in `perf list` (comma-separated; repeatable)' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l json -d 'Write the comparison to FILE, as JSON' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l markdown -d 'Write a table for a pull request to FILE, as Markdown' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l csv -d 'Write a row for each version and quantity to FILE, as CSV' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l junit -d 'Write the verdict to FILE, as JUnit XML' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l openmetrics -d 'Write the metrics to FILE, as OpenMetrics' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s L -l parameter-list -d 'Run the command for each of these comma-separated values of {NAME} in it; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s P -l parameter-scan -d 'Run the command for each number from MIN to MAX as {NAME} in it; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s D -l parameter-step-size -d 'Step of --parameter-scan' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s w -l warmup -d 'Number of warm-up runs, not counted' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l prepare -d 'Shell command to execute before each run' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l cleanup -d 'Shell command to execute after the last run' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l app-output -d 'Where its output goes: pipe (discarded; the default), null (/dev/null), inherit, or FILE' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l timeout -d 'End the application and all that it started after this time' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l user -d 'Run it as USER or USER:GROUP, by name or number; needs root' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s S -l shell -d 'Run the command through this shell (`default`: sh; `none`)' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l idle -d 'Measure the machine\'s idle power for this time before the start' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l ignore-failure -d 'Accept failures (or only these statuses): go on, and end with 0' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s i -l interval -d 'Time between two readings, 100us or more [default: each plugin\'s]' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l plugins -d 'Use only these plugins (comma-separated) [default: all that are available]' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l without -d 'Do not use these plugins (comma-separated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l set -d 'Set an option of a plugin, as in procfs.interval=1s; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l config -d 'Read this configuration file, and no other' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l sysfs -d 'Directory to read instead of /sys' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l procfs -d 'Directory to read instead of /proc for what concerns the machine' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l adaptive -d 'Stop as soon as there is a verdict'
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l require-measured -d 'Decide by measured energy only, or fail'
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s q -l quiet -d 'Print nothing but errors'
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l show-output -d 'Show the output of the application (same as --app-output inherit)'
complete -c alumet -n "__fish_alumet_using_subcommand compare" -l wait-all -d 'Measure until the last process of the application has ended'
complete -c alumet -n "__fish_alumet_using_subcommand compare" -s h -l help -d 'Print help'
complete -c alumet -n "__fish_alumet_using_subcommand check" -l baseline -d 'Profile to compare with' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l baseline-cmd -d 'Command to compare with' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l pairs -d 'Number of pairs of runs, at least 5 (with --adaptive the largest number, at least 20) [default: 10; adaptive: 40]' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l threshold -d 'Largest increase that is no regression' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l alpha -d 'Accepted probability of a wrong verdict' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l gate -l metric -d 'Metrics that decide, and no others: energy, cpu, time, memory, instructions, gpu or an event; each can have its own threshold, as in energy=2%,time=5%' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l max-time -d 'Start no further pair after this time' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l inconclusive -d 'Result of an inconclusive comparison: pass or fail' -r -f -a "pass\t''
fail\t''"
complete -c alumet -n "__fish_alumet_using_subcommand check" -s e -l event -d 'Events to count, as in `perf list` (comma-separated; repeatable)' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l json -d 'Write the comparison to FILE, as JSON' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l markdown -d 'Write a table for a pull request to FILE, as Markdown' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l csv -d 'Write a row for each version and quantity to FILE, as CSV' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l junit -d 'Write the verdict to FILE, as JUnit XML' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l openmetrics -d 'Write the metrics to FILE, as OpenMetrics' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -s w -l warmup -d 'Number of warm-up runs, not counted' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l prepare -d 'Shell command to execute before each run' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l cleanup -d 'Shell command to execute after the last run' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l app-output -d 'Where its output goes: pipe (discarded; the default), null (/dev/null), inherit, or FILE' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l timeout -d 'End the application and all that it started after this time' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l user -d 'Run it as USER or USER:GROUP, by name or number; needs root' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -s S -l shell -d 'Run the command through this shell (`default`: sh; `none`)' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l idle -d 'Measure the machine\'s idle power for this time before the start' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l ignore-failure -d 'Accept failures (or only these statuses): go on, and end with 0' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -s i -l interval -d 'Time between two readings, 100us or more [default: each plugin\'s]' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l plugins -d 'Use only these plugins (comma-separated) [default: all that are available]' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l without -d 'Do not use these plugins (comma-separated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l set -d 'Set an option of a plugin, as in procfs.interval=1s; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand check" -l config -d 'Read this configuration file, and no other' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l sysfs -d 'Directory to read instead of /sys' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l procfs -d 'Directory to read instead of /proc for what concerns the machine' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand check" -l adaptive -d 'Stop as soon as there is a verdict'
complete -c alumet -n "__fish_alumet_using_subcommand check" -l require-measured -d 'Decide by measured energy only, or fail'
complete -c alumet -n "__fish_alumet_using_subcommand check" -s q -l quiet -d 'Print nothing but errors'
complete -c alumet -n "__fish_alumet_using_subcommand check" -l show-output -d 'Show the output of the application (same as --app-output inherit)'
complete -c alumet -n "__fish_alumet_using_subcommand check" -l wait-all -d 'Measure until the last process of the application has ended'
complete -c alumet -n "__fish_alumet_using_subcommand check" -s h -l help -d 'Print help'
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l save-idle -d 'Measure the idle power of this machine, which must be quiet, for 5s or this time, and save it for later runs' -r
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -s i -l interval -d 'Time between two readings, 100us or more [default: each plugin\'s]' -r
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l plugins -d 'Use only these plugins (comma-separated) [default: all that are available]' -r
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l without -d 'Do not use these plugins (comma-separated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l set -d 'Set an option of a plugin, as in procfs.interval=1s; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l config -d 'Read this configuration file, and no other' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l sysfs -d 'Directory to read instead of /sys' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l procfs -d 'Directory to read instead of /proc for what concerns the machine' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -l json -d 'Print JSON'
complete -c alumet -n "__fish_alumet_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -s i -l interval -d 'Time between two readings, 100us or more [default: each plugin\'s]' -r
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -l plugins -d 'Use only these plugins (comma-separated) [default: all that are available]' -r
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -l without -d 'Do not use these plugins (comma-separated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -l set -d 'Set an option of a plugin, as in procfs.interval=1s; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -l config -d 'Read this configuration file, and no other' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -l sysfs -d 'Directory to read instead of /sys' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -l procfs -d 'Directory to read instead of /proc for what concerns the machine' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -l json -d 'Print JSON'
complete -c alumet -n "__fish_alumet_using_subcommand plugins" -s h -l help -d 'Print help'
complete -c alumet -n "__fish_alumet_using_subcommand config" -s i -l interval -d 'Time between two readings, 100us or more [default: each plugin\'s]' -r
complete -c alumet -n "__fish_alumet_using_subcommand config" -l plugins -d 'Use only these plugins (comma-separated) [default: all that are available]' -r
complete -c alumet -n "__fish_alumet_using_subcommand config" -l without -d 'Do not use these plugins (comma-separated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand config" -l set -d 'Set an option of a plugin, as in procfs.interval=1s; can be repeated' -r
complete -c alumet -n "__fish_alumet_using_subcommand config" -l config -d 'Read this configuration file, and no other' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand config" -l sysfs -d 'Directory to read instead of /sys' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand config" -l procfs -d 'Directory to read instead of /proc for what concerns the machine' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand config" -s h -l help -d 'Print help (see more with \'--help\')'
