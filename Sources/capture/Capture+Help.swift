import Processes

extension Capture {
  /// The text of `--help` before the list of options.
  static var helpText: String {
    """
    Runs COMMAND, captures its stdout and stderr in bounded memory, and counts exactly what is lost. What \
    is kept are the last \(Session.maxBufferBytes) bytes, in at most \(Session.maxBufferedChunks) chunks: \
    of output in very small pieces fewer bytes are kept. When the command has ended and closed its \
    outputs, what is kept is written, in order: its stdout to stdout, its stderr to stderr, after a line \
    on stderr that tells the loss, if any. If stdout is a terminal, output is written as it comes.

    EXAMPLES:
      capture make -j4                          the last of the output, or all of it at a terminal
      capture --on-failure make test            output only if it fails
      capture --timeout 10m -k 30s ./nightly    SIGTERM after 10 minutes, SIGKILL 30 seconds later
      capture --output build.log --json make    everything to a file, the last 1 MiB as JSON
      capture --foreground sh -c 'read -p "Name: " x </dev/tty; echo $x'
      capture --tail 20 make                    the last 20 lines
      capture --lossless make | tee all.log     all of it, at the pace of the pipeline
      capture --tty vim notes.txt               in a terminal, key by key
      capture --timestamps make                 each line behind when it came
      capture --tty --asciicast top.cast top    for asciinema play top.cast
      capture --ring build.ring make            into a file; from elsewhere: capture read build.ring
      tar c . | capture --stdin gzip > t.gz     in a pipeline

    Options end where COMMAND begins: what follows its name belongs to it. -- may stand before it.

    COMMAND reads its stdin from /dev/null, or with --stdin what comes on capture's own; inherits no \
    descriptors but 0, 1 and 2; and leads a session of its own without a terminal, so that opening \
    /dev/tty fails at once. With --foreground it stays in capture's process group instead: it can read \
    from /dev/tty, Ctrl-C and Ctrl-Z reach it from the terminal itself, and what capture sends reaches \
    COMMAND alone and none of its children. With --tty all that it writes is stdout, and its lines end \
    in CR LF. Two pipes keep no order between stdout and stderr; --merge makes them one, which is \
    stdout. COMMAND and its arguments are passed on byte for byte. If capture is killed, COMMAND gets \
    SIGKILL (on Linux, but not what COMMAND has started, and not if it changes its user), unless \
    --outlive is given. Other processes that still hold its output open after its end \
    are waited for as long as --linger says; a line on stderr tells if that was too short for them.

    SIGINT (Ctrl-C), SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGALRM are passed on to \
    COMMAND's group, and SIGCONT after them; capture then still waits for COMMAND and writes \
    what it has. The third SIGINT, SIGTERM or SIGQUIT within 5 seconds kills the group. After \
    COMMAND's end a signal ends the wait for others that hold its output open, or else leaves \
    capture a second to write what it has; one after that ends capture at once. Ctrl-Z stops \
    COMMAND and capture, and fg continues both. If no process reads capture's own output any \
    more, --live ends COMMAND with SIGPIPE and SIGTERM, as a pipeline would.

    After --timeout the group gets SIGTERM or what --signal says, and after --kill-after SIGKILL. \
    COMMAND's own end before that counts, even if others hold its output open for longer.

    Exit status: COMMAND's own; 128 + N if signal N ended it; 124 if its time was up, but 137 if \
    it had to be killed; 127 if it was not found; 126 if it cannot be executed; 125 if it could \
    not be started for want of memory or other resources, or the file of --output or --asciicast \
    not opened; 64 for a usage error; 74 if COMMAND succeeded but its output could not be written, \
    or some was missed in spite of --lossless. If a signal passed on by capture ended COMMAND, it \
    ends capture as well.

    --json writes one object a line: for each chunk \
    {"seq":1,"stream":"stdout","offset":0,"data_b64":"..."}, where offset counts the bytes of both \
    streams before it, and last a summary: exit_code, alive, closed; chunks, the number of chunk \
    lines before it; retained_bytes and lost_bytes, which were retained in memory at the end or not, \
    and add up to total_bytes; missed_chunks and missed_bytes, which capture itself came too late to \
    write; signal, the number of the signal that ended COMMAND, or null; timed_out; and seconds, which \
    COMMAND ran. With --timestamps or --asciicast a chunk has time, in seconds since the start, \
    and the summary has start, in seconds since 1970. Without --live what is missed is what is \
    lost; with it, what was written while it was still there is not missed, even if it is lost by \
    now. If COMMAND could not be started, the only line is {"error":"..."}.

    --output writes all of both streams to the file, in the order of capture. If COMMAND writes faster \
    than the file takes it, COMMAND has to wait, as it would if it wrote there itself. If the file \
    cannot be written, a line on stderr tells, and COMMAND goes on.

    --lossless does the same for stdout: output is written as it comes, COMMAND waits while \
    whatever reads it is slow, and nothing is missed. Without --output or --lossless COMMAND \
    never waits for capture.

    --tail writes the last lines of what is kept, in the order of capture, and no line about \
    the loss.

    --timestamps writes [ SECONDS] before each line: when its first byte came, since the start. \
    The clock goes on every 1 to 10 ms. What --output writes has none.

    --asciicast writes all of the output to the file as an asciicast of version 2, as --output \
    would, with the changes of the terminal's size. What is not UTF-8 becomes U+FFFD. Record for \
    asciinema play with --tty: without a terminal, lines end in LF alone, and the player goes on \
    below their end.

    --ring keeps the output in a new file instead of memory, where capture read can read it \
    while it is \
    written and afterwards, also if capture was killed; capture read --help tells how. All of \
    the file's \
    room is allocated at once. \
    If the file exists or cannot be made, the exit status is 125. A command that is named read \
    is run by \
    capture -- read.

    --capacity says how much of the output is kept, in the file of --ring or in memory: with \
    more than 4M, in more chunks too. --head keeps the beginning of the output as well, besides \
    the last 1 MiB or the --capacity. \
    What lies between is lost; the line on stderr that says so comes where it was.

    --generate-completion-script bash (or zsh, fish) writes completions for a shell.
    """
  }
}
