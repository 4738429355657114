<?php

// Publishes in a closed loop for some time, one way, and prints what came of it as one line of JSON.
//
// usage: php publish.php WAY SECONDS BYTES TARGET [CALLS [TOPIC [TOPICS]]]
//   WAY     ack, async, push: this extension's, to its own hub (sse.socket)
//           udp-stream, udp-socket, udp-new: bare datagrams to HOST:PORT: fwrite() and socket_sendto() on an open socket,
//           and a new socket for each
//           redis-publish, redis-xadd: phpredis, to a Unix socket or HOST:PORT
//           nchan, pushpin: curl, to the URL that takes events there
//   BYTES   of each event's data
//   TARGET  as above; '-' for this extension's ways
//   CALLS   at most, beside one before the clock starts
//   TOPIC   the topic ("bench"), or where TOPICS says how many there are to be taken in turn, a format of their numbers: t.%d
//
// {"calls":…, "failed":…, "ns":…, "user_ns":…, "system_ns":…, "slowest_ns":…}: calls that were taken, those that were not,
// time on the clock, processor time of this process, and the longest call (or the mean of the 64 that took longest).

declare(strict_types=1);

ini_set('memory_limit', '-1');
[, $way, $seconds, $bytes, $target] = $argv;
$most = (int) ($argv[5] ?? PHP_INT_MAX);
[$topic, $count] = [$argv[6] ?? 'bench', (int) ($argv[7] ?? 1)];
$names = array_map(static fn (int $n): string => sprintf($topic, $n), range(0, $count - 1));
$data = str_repeat('x', (int) $bytes);

/** A datagram as the hub takes it; the same bytes for all ways of sending one. */
const DATAGRAM = 'WAKEUP bench';

/** A curl handle that keeps its connection. */
function poster(string $url, array $headers): CurlHandle
{
    $curl = curl_init($url);
    curl_setopt_array($curl, [
        CURLOPT_POST => true,
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => 60,
        CURLOPT_HTTPHEADER => [...$headers, 'Expect:'],
    ]);
    return $curl;
}

/** Posts, and says whether it was taken. */
function post(CurlHandle $curl, string $body): bool
{
    curl_setopt($curl, CURLOPT_POSTFIELDS, $body);
    return curl_exec($curl) !== false && intdiv(curl_getinfo($curl, CURLINFO_RESPONSE_CODE), 100) === 2;
}

/** Whether it was taken; each way keeps its connection where there is one. */
$publish = match ($way) {
    'ack', 'async' => static fn (string $topic): bool => sse_publish($topic, $data, mode: $way) !== false,
    'push' => static fn (string $topic): bool => SseTrigger::push($topic),
    'udp-stream' => (static function () use ($target): Closure {
        $socket = stream_socket_client("udp://$target");
        return static fn (string $topic): bool => fwrite($socket, DATAGRAM) === strlen(DATAGRAM);
    })(),
    'udp-socket' => (static function () use ($target): Closure {
        [$host, $port] = explode(':', $target);
        [$socket, $port] = [socket_create(AF_INET, SOCK_DGRAM, SOL_UDP), (int) $port];
        return static fn (string $topic): bool =>
            socket_sendto($socket, DATAGRAM, strlen(DATAGRAM), 0, $host, $port) === strlen(DATAGRAM);
    })(),
    'udp-new' => static function (string $topic) use ($target): bool {
        $socket = stream_socket_client("udp://$target");
        return fwrite($socket, DATAGRAM) === strlen(DATAGRAM);
    },
    'redis-publish', 'redis-xadd' => (static function () use ($way, $target, $data): Closure {
        $redis = new Redis();
        [$host, $port] = [...explode(':', $target), 0];
        $redis->connect($host, (int) $port);
        return $way === 'redis-publish'
            ? static fn (string $topic): bool => $redis->publish($topic, $data) !== false
            : static fn (string $topic): bool => $redis->xAdd($topic, '*', ['data' => $data], 1000, true) !== false;
    })(),
    'nchan' => (static function () use ($target, $data): Closure {
        $curl = poster($target, ['Content-Type: text/plain']);
        return static fn (string $topic): bool => post($curl, $data);
    })(),
    'pushpin' => (static function () use ($target, $data): Closure {
        $curl = poster($target, ['Content-Type: application/json']);
        return static fn (string $topic): bool => post($curl, json_encode(['items' => [
            ['channel' => $topic, 'formats' => ['http-stream' => ['content' => "data: $data\n\n"]]],
        ]]));
    })(),
    default => exit("unknown way: $way\n"),
};

/** Processor time of this process. */
function used(string $kind): int
{
    $usage = getrusage();
    return $usage["ru_$kind.tv_sec"] * 1_000_000_000 + $usage["ru_$kind.tv_usec"] * 1000;
}

// The first may start a hub or open a connection.
$publish($names[0]);
[$calls, $failed, $slowest, $user, $system] = [0, 0, 0, used('utime'), used('stime')];
$began = $now = hrtime(true);
$until = $began + (int) ((float) $seconds * 1e9);
// Where a call takes a few microseconds the clock is read once for many, so that it is no part of what is measured.
$batch = in_array($way, ['async', 'push', 'udp-stream', 'udp-socket', 'udp-new'], true) ? 64 : 1;
do {
    for ($call = min($batch, $most - $calls - $failed); $call > 0; --$call) {
        $publish($names[$count > 1 ? ($calls + $failed) % $count : 0]) ? ++$calls : ++$failed;
    }
    $before = $now;
    $now = hrtime(true);
    $slowest = max($slowest, intdiv($now - $before, $batch));
} while ($now < $until && $calls + $failed < $most);
echo json_encode([
    'calls' => $calls,
    'failed' => $failed,
    'ns' => $now - $began,
    'user_ns' => used('utime') - $user,
    'system_ns' => used('stime') - $system,
    'slowest_ns' => $slowest,
]), "\n";
