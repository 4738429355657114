<?php

declare(strict_types=1);

// usage: php returning-readers.php ADDRESS PATH COUNT FILE
// Opens COUNT streams of http://ADDRESS/PATH, prints "open", and reads as browsers do: each comes back after its reconnection time,
// with the last id it has. Goes on until each has the events 1, 2, 3 … up to the number that is in FILE once it is there. Prints as
// JSON how many have them all; how often something else than the next number came, a stream ended, and an answer was no stream;
// and when each came back, in seconds since the epoch.
[, $address, $path, $count, $file] = $argv;
const AT_ONCE = 40;
$clients = [];
for ($number = 0; $number < $count; $number++) {
    $clients[$number] = ['socket' => null, 'due' => 0.0, 'begun' => false, 'rest' => '', 'id' => '', 'last' => 0, 'retry' => 1000];
}
$wrong = $ended = $refused = 0;
$returns = [];
$total = PHP_INT_MAX;
$isOpen = false;
$until = microtime(true) + 600.0;
while (microtime(true) < $until) {
    $now = microtime(true);
    $beginning = count(array_filter($clients, static fn (array $client): bool => $client['socket'] !== null && !$client['begun']));
    foreach ($clients as $number => $client) {
        if ($client['socket'] !== null || $client['due'] > $now || $beginning >= AT_ONCE) {
            continue;
        }
        $socket = @stream_socket_client("tcp://$address", $code, $error, 20.0) ?: exit("$error\n");
        $last = $client['id'] === '' ? '' : "Last-Event-ID: {$client['id']}\r\n";
        fwrite($socket, "GET $path HTTP/1.0\r\nHost: $address\r\nAccept: text/event-stream\r\n$last\r\n");
        stream_set_blocking($socket, false);
        stream_set_read_buffer($socket, 0);
        $clients[$number] = ['socket' => $socket, 'begun' => false, 'rest' => ''] + $client;
        $beginning++;
        if ($isOpen) {
            $returns[] = round($now, 3);
        }
    }
    $readable = array_filter(array_column($clients, 'socket'));
    $numbers = [];
    foreach ($clients as $number => $client) {
        if ($client['socket'] !== null) {
            $numbers[(int) $client['socket']] = $number;
        }
    }
    $none = null;
    if ($readable === []) {
        usleep(10_000);
    } else {
        stream_select($readable, $none, $none, 0, 50_000);
    }
    foreach ($readable as $socket) {
        $client = &$clients[$numbers[(int) $socket]];
        $bytes = (string) fread($socket, 65536);
        $client['rest'] .= $bytes;
        if (!$client['begun'] && ($end = strpos($client['rest'], "\r\n\r\n")) !== false) {
            $head = substr($client['rest'], 0, $end);
            $refused += (int) (!str_contains($head, ' 200 ') || stripos($head, 'content-type: text/event-stream') === false);
            $client['rest'] = substr($client['rest'], $end + 4);
            $client['begun'] = true;
        }
        if ($client['begun']) {
            $lines = explode("\n", $client['rest']);
            $client['rest'] = array_pop($lines);
            foreach ($lines as $line) {
                [$field, $value] = explode(': ', $line, 2) + [1 => ''];
                match ($field) {
                    'id' => $client['id'] = $value,
                    'retry' => $client['retry'] = (int) $value,
                    'data' => $wrong += (int) ((int) $value !== ++$client['last']),
                    default => null,
                };
            }
        }
        if ($bytes === '' && feof($socket)) {
            $ended++;
            fclose($socket);
            $client = ['socket' => null, 'due' => microtime(true) + $client['retry'] / 1000, 'begun' => false] + $client;
        }
        unset($client);
    }
    if (!$isOpen && $beginning === 0 && count($numbers) === (int) $count) {
        $isOpen = true;
        echo "open\n";
    }
    clearstatcache();
    if ($total === PHP_INT_MAX && is_file($file)) {
        $total = (int) file_get_contents($file);
    }
    if (min(array_column($clients, 'last')) >= $total) {
        break;
    }
}
$complete = count(array_filter($clients, static fn (array $client): bool => $client['last'] === $total));
echo json_encode(compact('complete', 'wrong', 'ended', 'refused', 'returns')), "\n";
