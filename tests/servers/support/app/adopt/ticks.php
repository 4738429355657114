<?php

// A stream that can be had in many ways. Each tick says what is in the file `state` at that time.
//   type: the content type; before: deeds before the first output, separated by commas
//   pause: how it sleeps, sleep | usleep | nanosleep | select (in another way, half a second at a time);
//   for: seconds of it; count: ticks until it ends
//   between: what is done between a tick's flush and its sleep, nothing | busy (until there is a file `go`)
//   split: where a tick's event is cut by a sleep, none | line | word
//   ignore: whether the script goes on without its client
//   flush: how a tick is flushed, calls | implicit (ob_implicit_flush) | none
//   header: one more of the response

$folder = __DIR__ . '/../../data';
$option = static fn (string $name, string $default): string => $_GET[$name] ?? $default;

register_shutdown_function(static function (): void {
    error_log('the script has ended, aborted ' . connection_aborted());
});
ignore_user_abort((bool) $option('ignore', '0'));
foreach (array_filter(explode(',', $option('before', ''))) as $deed) {
    match ($deed) {
        'session' => session_start() && $_SESSION['streams'] = ($_SESSION['streams'] ?? 0) + 1,
        'buffer' => ob_start(),
        'callback' => ob_start(static fn (string $text): string => str_replace('early', 'EARLY', $text)),
    };
}

header('Content-Type: ' . $option('type', 'text/event-stream'));
if ($option('header', '') !== '') {
    header($option('header', ''));
}
if ($option('flush', 'calls') === 'implicit') {
    ob_implicit_flush();
}

$both = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
$select = static function (float $seconds) use ($both): void {
    for ($end = hrtime(true) + $seconds * 1e9; hrtime(true) < $end;) {
        [$read, $none, $nothing] = [[$both[0]], null, null];
        stream_select($read, $none, $nothing, 0, 500_000);
        usleep(1000);
    }
};
$pause = static function () use ($option, $select): mixed {
    $seconds = (float) $option('for', '60');

    return match ($option('pause', 'sleep')) {
        'sleep' => sleep((int) $seconds),
        'usleep' => usleep((int) ($seconds * 1e6)),
        'nanosleep' => time_nanosleep((int) $seconds, (int) (fmod($seconds, 1) * 1e9)),
        'select' => $select($seconds),
    };
};

echo ": early\n\n";
for ($tick = 1; $tick <= (int) $option('count', '1000'); $tick++) {
    $split = $option('split', 'none');
    if ($split !== 'none') {
        echo $split === 'line' ? "data: a\n" : 'data: a';
        ob_flush();
        flush();
        $pause();
        echo $split === 'line' ? "data: b\n\n" : "b\n\n";
    }
    echo 'data: ', trim((string) @file_get_contents("$folder/state")), "\n\n";
    if ($option('flush', 'calls') === 'calls') {
        ob_flush();
        flush();
    }
    if ($option('between', 'nothing') === 'busy') {
        error_log("busy after tick $tick");
        do {
            clearstatcache();
        } while (!file_exists("$folder/go"));
    }
    $before = hrtime(true);
    $returned = $pause();
    $whole = (hrtime(true) - $before) / 1e9 >= (float) $option('for', '60');
    error_log("tick $tick slept " . ($whole ? 'for all its time' : 'shorter') . ', got ' . json_encode($returned));
}
