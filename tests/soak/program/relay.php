<?php

declare(strict_types=1);

// usage: php relay.php PORT TARGET FILE
// Passes TCP connections on to a Unix socket, as long as FILE is not there. If FILE says `cut`, connections are closed and
// refused; if it says `hole`, they stay, and what is sent gets lost on the way, as in a network that drops packets.

[, $port, $target, $file] = $argv;
$parent = posix_getppid();
$door = null;
/** @var array<int, resource> $ends each end of each connection, by number */
$ends = [];
/** @var array<int, int> $others the number of the other end */
$others = [];
/** @var array<int, string> $unsent what waits for an end */
$unsent = [];
/** @var array<int, true> $broken ends of connections that have lost something: nothing may pass any more */
$broken = [];
$close = static function (int $end) use (&$ends, &$others, &$unsent, &$broken): void {
    foreach ([$end, $others[$end]] as $one) {
        fclose($ends[$one]);
        unset($ends[$one], $others[$one], $unsent[$one], $broken[$one]);
    }
};
while (posix_getppid() === $parent) {
    clearstatcache();
    $mode = file_exists($file) ? trim((string) file_get_contents($file)) : '';
    if ($mode === 'cut') {
        while ($ends !== []) {
            $close(array_key_first($ends));
        }
        if ($door !== null) {
            fclose($door);
            $door = null;
        }
    } elseif ($door === null) {
        // Without SO_REUSEADDR the port of connections just closed could not be had again.
        $context = stream_context_create(['socket' => ['so_reuseport' => false, 'backlog' => 64]]);
        $door = stream_socket_server("tcp://127.0.0.1:$port", $code, $message, STREAM_SERVER_BIND | STREAM_SERVER_LISTEN, $context);
        if ($door === false) {
            fwrite(STDERR, "$message\n");
            exit(1);
        }
    }
    if ($mode === 'hole') {
        $broken = array_fill_keys(array_keys($ends), true);
    }
    $readable = array_diff_key($ends, $mode === 'hole' ? [] : $broken);
    $writable = array_intersect_key($ends, array_filter($unsent, 'strlen'));
    $none = null;
    if ($door !== null) {
        $readable[-1] = $door;
    }
    if ($readable === [] && $writable === []) {
        usleep(20_000);
        continue;
    }
    if (!@stream_select($readable, $writable, $none, 0, 20_000)) {
        continue;
    }
    foreach (array_keys($readable) as $end) {
        if ($end === -1) {
            $client = @stream_socket_accept($door, 0);
            // In a hole, connecting works on loopback, and nothing follows.
            $server = $client === false ? false : @stream_socket_client("unix://$target", $code, $message, 1.0);
            if ($server === false) {
                $client === false || fclose($client);
                continue;
            }
            foreach ([$client, $server] as $one) {
                stream_set_blocking($one, false);
                stream_set_read_buffer($one, 0);
                $ends[(int) $one] = $one;
                $unsent[(int) $one] = '';
            }
            $others[(int) $client] = (int) $server;
            $others[(int) $server] = (int) $client;
            continue;
        }
        if (!isset($ends[$end])) {
            continue;
        }
        $bytes = @fread($ends[$end], 65_536);
        if ($bytes === false || ($bytes === '' && feof($ends[$end]))) {
            $close($end);
        } elseif (!isset($broken[$end])) {
            $unsent[$others[$end]] .= $bytes;
            $writable[$others[$end]] = $ends[$others[$end]];
        }
    }
    foreach (array_keys($writable) as $end) {
        if (isset($ends[$end]) && !isset($broken[$end])) {
            $written = @fwrite($ends[$end], $unsent[$end]);
            if ($written === false) {
                $close($end);
            } else {
                $unsent[$end] = substr($unsent[$end], $written);
            }
        }
    }
}
