<?php

declare(strict_types=1);

namespace PhpSse\Bench\Reverb;

use RuntimeException;

/** Open connections, and how many events have come by them: each has one `~` in its data. */
final class Connections
{
    private int $events = 0;

    /** @param list<resource> $sockets */
    private function __construct(private readonly array $sockets)
    {
    }

    public static function streams(string $url, int $count): self
    {
        $parts = parse_url($url);
        $sockets = [];
        for ($at = 0; $at < $count; $at++) {
            $socket = self::connect("{$parts['host']}:{$parts['port']}");
            fwrite($socket, "GET {$parts['path']}?{$parts['query']} HTTP/1.1\r\nHost: {$parts['host']}\r\n\r\n");
            self::await($socket, 'text/event-stream');
            $sockets[] = $socket;
        }

        return new self($sockets);
    }

    /** By Pusher's protocol, subscribed to the channel `news`. */
    public static function sockets(string $address, string $path, int $count): self
    {
        $sockets = [];
        for ($at = 0; $at < $count; $at++) {
            $socket = self::connect($address);
            $key = base64_encode(random_bytes(16));
            fwrite($socket, "GET $path HTTP/1.1\r\nHost: $address\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                . "Sec-WebSocket-Key: $key\r\nSec-WebSocket-Version: 13\r\n\r\n");
            self::await($socket, 'connection_established');
            $message = '{"event":"pusher:subscribe","data":{"channel":"news"}}';
            // A client's frame is masked, here with zeros.
            fwrite($socket, "\x81" . chr(0x80 | strlen($message)) . "\0\0\0\0" . $message);
            self::await($socket, 'subscription_succeeded');
            $sockets[] = $socket;
        }

        return new self($sockets);
    }

    /** Reads until so many events have come in all. */
    public function awaitEvents(int $count): void
    {
        $end = microtime(true) + 300;
        while ($this->events < $count) {
            $ready = $this->sockets;
            $write = $except = null;
            stream_select($ready, $write, $except, 1);
            foreach ($ready as $socket) {
                $this->events += substr_count((string) fread($socket, 65536), '~');
            }
            if (microtime(true) > $end) {
                throw new RuntimeException("only $this->events of $count events have come");
            }
        }
    }

    public function close(): void
    {
        array_map(fclose(...), $this->sockets);
    }

    /** @return resource */
    private static function connect(string $address)
    {
        $socket = stream_socket_client("tcp://$address", $code, $message, 20) ?: throw new RuntimeException("$address: $message");
        stream_set_timeout($socket, 20);

        return $socket;
    }

    /** @param resource $socket */
    private static function await($socket, string $text): void
    {
        $read = '';
        while (!str_contains($read, $text)) {
            $part = fread($socket, 8192);
            if ($part === '' || $part === false) {
                throw new RuntimeException("waited in vain for '$text': $read");
            }
            $read .= $part;
        }
        stream_set_blocking($socket, true);
    }
}
