<?php

declare(strict_types=1);

// usage: php readers.php ADDRESS PATH COUNT FILE
// Opens COUNT streams of http://ADDRESS/PATH, prints "open", and reads until each has the events 1, 2, 3 … up to the number
// that is in FILE once it is there. Prints as JSON how many have them all, in order and none twice, how many have ended, and
// the longest time in milliseconds for which nothing came to any.
[, $address, $path, $count, $file] = $argv;
$sockets = $last = $rest = [];
for ($opened = 0; $opened < $count; $opened++) {
    $socket = stream_socket_client("tcp://$address", $code, $error, 20.0) ?: exit("$error\n");
    // Without chunks, so that every byte after the head is of the stream.
    fwrite($socket, "GET $path HTTP/1.0\r\nHost: $address\r\n\r\n");
    stream_set_timeout($socket, 20);
    $head = stream_get_line($socket, 65536, "\r\n\r\n");
    str_contains((string) $head, ' 200 ') || exit("not open: $head\n");
    stream_set_blocking($socket, false);
    stream_set_read_buffer($socket, 0);
    $sockets[(int) $socket] = $socket;
    $last[(int) $socket] = 0;
    $rest[(int) $socket] = '';
}
echo "open\n";

$wrong = $ended = 0;
$until = microtime(true) + 120.0;
$total = PHP_INT_MAX;
$heard = null;
$longest = 0.0;
$behind = $sockets;
while ($behind !== [] && microtime(true) < $until) {
    [$readable, $none] = [$behind, null];
    stream_select($readable, $none, $none, 0, 100_000);
    $now = microtime(true);
    foreach ($readable as $socket) {
        $id = (int) $socket;
        $bytes = (string) fread($socket, 65536);
        if ($bytes === '' && feof($socket)) {
            $ended++;
            unset($behind[$id]);
            continue;
        }
        $lines = explode("\n", $rest[$id] . $bytes);
        $rest[$id] = array_pop($lines);
        foreach ($lines as $line) {
            if (str_starts_with($line, 'data: ')) {
                $longest = max($longest, $now - ($heard ?? $now));
                $heard = $now;
                $wrong += (int) ((int) substr($line, 6) !== ++$last[$id]);
            }
        }
    }
    if ($total === PHP_INT_MAX) {
        clearstatcache();
        $total = (int) @file_get_contents($file) ?: PHP_INT_MAX;
    }
    if ($total !== PHP_INT_MAX) {
        $behind = array_filter($behind, static fn ($socket): bool => $last[(int) $socket] < $total);
    }
}
$complete = count(array_filter($last, static fn (int $last): bool => $last === $total));
echo json_encode(['complete' => $complete, 'wrong' => $wrong, 'ended' => $ended, 'longest_ms' => $longest * 1000]), "\n";
