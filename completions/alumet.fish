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
complete -c alumet -n "__fish_alumet_needs_command" -f -a "doctor" -d 'Find out what can be measured on this machine, how well, and what would change that'
complete -c alumet -n "__fish_alumet_needs_command" -f -a "plugins" -d 'List the plugins: what can be measured here, what cannot, and why'
complete -c alumet -n "__fish_alumet_needs_command" -f -a "config" -d 'Show the configuration in force and where each value comes from'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l timeout -d 'End the application after this time: SIGTERM to all of its processes, SIGKILL 2 s later' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l user -d 'Run the application as this user (a name or a number); needs root' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l idle -d 'Measure for so long what the machine uses when nothing runs, before the application starts' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s e -l event -d 'Count these events, as `perf list` names them (comma-separated; can be repeated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s o -l output -d 'Write every point to FILE, as CSV' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l json -d 'Write the totals of the run to FILE, as JSON' -r -F
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
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l wait-all -d 'Measure until the last process that the application has started has ended'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l ignore-failure -d 'End with status 0 even if the application fails'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l per-process -d 'Break the result down by process'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -l per-thread -d 'Break the result down by thread'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s q -l quiet -d 'Print no summary'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s v -l verbose -d 'Say more about what was done'
complete -c alumet -n "__fish_alumet_using_subcommand exec" -s h -l help -d 'Print help'
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l name -d 'All processes whose command name matches this regular expression, as with pgrep' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l duration -d 'Stop measuring after this time' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -s e -l event -d 'Count these events, as `perf list` names them (comma-separated; can be repeated)' -r
complete -c alumet -n "__fish_alumet_using_subcommand attach" -s o -l output -d 'Write every point to FILE, as CSV' -r -F
complete -c alumet -n "__fish_alumet_using_subcommand attach" -l json -d 'Write the totals of the run to FILE, as JSON' -r -F
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
