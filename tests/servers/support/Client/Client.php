<?php

declare(strict_types=1);

namespace PhpSse\Tests\Client;

use PhpSse\Tests\Support\Deadline;

/** Holds hundreds of event streams in one process, and makes ordinary requests beside them. */
final class Client
{
    /** @var array<int, Stream> by spl_object_id */
    private array $streams = [];

    /** @param string $base http://host:port or https://host:port */
    public function __construct(private readonly string $base)
    {
    }

    /**
     * Opens a stream without waiting for it.
     *
     * @param array<string, string> $headers
     */
    public function open(string $path, array $headers = [], string $method = 'GET', string $body = ''): Stream
    {
        $parts = parse_url($this->base);
        $address = ($parts['scheme'] === 'https' ? 'tls' : 'tcp') . "://{$parts['host']}:{$parts['port']}";
        $headers += ['Host' => "{$parts['host']}:{$parts['port']}", 'Connection' => 'close'];
        if ($body !== '') {
            $headers += ['Content-Type' => 'application/x-www-form-urlencoded'];
            $headers += isset($headers['Transfer-Encoding']) ? [] : ['Content-Length' => (string) strlen($body)];
        }
        $head = "$method $path HTTP/1.1\r\n";
        foreach ($headers as $name => $value) {
            $head .= "$name: $value\r\n";
        }
        $stream = new Stream($address, "$head\r\n$body");

        return $this->streams[spl_object_id($stream)] = $stream;
    }

    /**
     * Opens streams and waits until all have begun. They are asked for in groups: a server's backlog holds no thousand.
     *
     * @param array<string, string> $headers
     * @return list<Stream>
     */
    public function openMany(int $count, string $path, array $headers = [], float $seconds = 20.0): array
    {
        $opened = [];
        while (count($opened) < $count) {
            $group = [];
            for ($i = min(50, $count - count($opened)); $i > 0; $i--) {
                $group[] = $this->open($path, $headers);
            }
            $this->awaitAll(
                $group,
                static fn (Stream $stream): bool => $stream->isOpen(),
                $seconds,
                sprintf('streams %d to %d of %d are open', count($opened) + 1, count($opened) + count($group), $count),
            );
            $opened = [...$opened, ...$group];
        }

        return $opened;
    }

    public function openOne(string $path, array $headers = [], float $seconds = 20.0): Stream
    {
        return $this->openMany(1, $path, $headers, $seconds)[0];
    }

    /**
     * Makes an ordinary request and returns its whole answer; streams are read meanwhile.
     *
     * @param array<string, string> $headers
     */
    public function request(
        string $path,
        array $headers = [],
        string $method = 'GET',
        string $body = '',
        float $seconds = 20.0,
    ): Response {
        $exchange = $this->open($path, $headers, $method, $body);
        $this->await($exchange, static fn (): bool => $exchange->ended, $seconds, "$method $path is answered");
        unset($this->streams[spl_object_id($exchange)]);

        return $exchange->response;
    }

    /**
     * Reads until each of the streams fulfils the condition.
     *
     * @param list<Stream> $streams
     * @param callable(Stream): bool $condition
     */
    public function awaitAll(array $streams, callable $condition, float $seconds, string $what): void
    {
        $pending = $streams;
        $end = Deadline::in($seconds);
        while (true) {
            $pending = array_filter($pending, static fn (Stream $stream): bool => !$condition($stream));
            if ($pending === []) {
                return;
            }
            if (microtime(true) >= $end) {
                break;
            }
            if (!$this->read(0.05)) {
                break;
            }
        }
        $first = reset($pending);
        Deadline::missed($seconds, $what, sprintf(
            '%d of %d did not; the first of them: %s',
            count($pending),
            count($streams),
            $first->summary(),
        ));
    }

    /** @param callable(Stream): bool $condition */
    public function await(Stream $stream, callable $condition, float $seconds, string $what): void
    {
        $this->awaitAll([$stream], $condition, $seconds, $what);
    }

    /**
     * Waits until a stream has so many events, and returns their data.
     *
     * @return list<string>
     */
    public function awaitEvents(Stream $stream, int $count, float $seconds = 20.0): array
    {
        $this->await(
            $stream,
            static fn (Stream $stream): bool => count($stream->parser->events) >= $count,
            $seconds,
            "$count events have come",
        );

        return $stream->data();
    }

    public function closeAll(): void
    {
        foreach ($this->streams as $stream) {
            $stream->close();
        }
        $this->streams = [];
    }

    /** Reads what is there, waiting a moment when there is nothing; false when no stream is left to wait for. */
    public function read(float $seconds): bool
    {
        $readable = $writable = [];
        foreach ($this->streams as $key => $stream) {
            $socket = $stream->socket();
            if ($socket === null) {
                unset($this->streams[$key]);
                continue;
            }
            if ($stream->wantsToWrite()) {
                $writable[$key] = $socket;
            } else {
                $readable[$key] = $socket;
            }
        }
        if ($readable === [] && $writable === []) {
            return false;
        }
        $except = null;
        $found = stream_select($readable, $writable, $except, (int) $seconds, (int) (fmod($seconds, 1) * 1e6));
        if ($found !== false && $found > 0) {
            foreach (array_keys($writable) as $key) {
                $this->streams[$key]->write();
            }
            foreach (array_keys($readable) as $key) {
                $this->streams[$key]->read();
            }
        }

        return true;
    }
}
