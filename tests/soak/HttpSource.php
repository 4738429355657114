<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

use PhpSse\Tests\Client\ChunkedDecoder;
use PhpSse\Tests\Client\EventParser;

/** A stream as a browser reads it: each connection has a parser of its own, and what its end cuts off is thrown away. */
final class HttpSource implements Source
{
    /** Seconds until a stream has to be there. */
    private const PATIENCE = 10.0;

    /** @var null|resource */
    private $socket;
    private ?EventParser $parser = null;
    private ?ChunkedDecoder $chunks = null;
    private ?string $ended = null;
    /** What came of the response's head. */
    private ?string $head = null;
    private int $status = 0;

    /**
     * @param non-empty-list<string> $addresses host:port of each server
     * @param list<string> $patterns
     * @param int $buffer of the socket, for what was not read; 0: the system's own
     */
    public function __construct(
        private readonly Chance $chance,
        private readonly array $addresses,
        private readonly array $patterns,
        private readonly int $buffer = 0,
        private readonly float $inWorker = 0,
    ) {
    }

    public function open(?string $since): ?string
    {
        $address = $this->chance->one($this->addresses);
        $query = ['topics' => implode(',', $this->patterns)];
        if ($this->chance->percent($this->inWorker)) {
            $query['detach'] = '0';
        }
        $headers = ["Host: $address", 'Connection: close', 'Accept: text/event-stream'];
        if ($since !== null && $this->chance->percent(30)) {
            $query['lastEventId'] = $since;
        } elseif ($since !== null) {
            $headers[] = "Last-Event-ID: $since";
        }
        $request = 'GET /soak/stream.php?' . http_build_query($query) . " HTTP/1.1\r\n" . implode("\r\n", $headers) . "\r\n\r\n";
        $this->socket = $this->connect($address);
        if ($this->socket === null || @fwrite($this->socket, $request) !== strlen($request)) {
            $this->close();

            return 'no connection';
        }
        stream_set_blocking($this->socket, false);
        stream_set_read_buffer($this->socket, 0);
        [$this->parser, $this->chunks, $this->ended, $this->head, $this->status] = [new EventParser(), null, null, '', 0];
        for ($end = microtime(true) + self::PATIENCE; $this->ended === null && !$this->hasBegun();) {
            if (microtime(true) > $end) {
                $this->ended = 'no stream in time, but ' . json_encode(substr((string) $this->head, 0, 100));
            }
            $this->receive(0.1);
        }
        if ($this->hasBegun()) {
            return null;
        }
        $this->close();

        return $this->status === 0 ? (string) $this->ended : "status $this->status";
    }

    public function read(float $seconds): array
    {
        if ($this->parser->events === [] && $this->ended === null) {
            $this->receive($seconds);
        }
        $read = [];
        foreach ($this->parser->events as $event) {
            $read[] = new Delivered($event->id, $event->name, $event->data, $event->name === 'gap');
        }
        $this->parser->events = [];

        return $read;
    }

    public function ended(): ?string
    {
        return $this->ended;
    }

    public function close(): void
    {
        if ($this->socket !== null) {
            fclose($this->socket);
            $this->socket = null;
        }
    }

    /** A 200, and the hub's first bytes. */
    private function hasBegun(): bool
    {
        $parser = $this->parser;

        return $this->status === 200 && ($parser->retry !== null || $parser->comments > 0 || $parser->events !== []);
    }

    /** @return null|resource */
    private function connect(string $address)
    {
        if ($this->buffer === 0 || !function_exists('socket_create')) {
            return @stream_socket_client("tcp://$address", $code, $message, self::PATIENCE) ?: null;
        }
        // Before it connects: the window is agreed on then.
        $socket = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
        socket_set_option($socket, SOL_SOCKET, SO_RCVBUF, $this->buffer);
        [$host, $port] = explode(':', $address);
        if (!@socket_connect($socket, $host, (int) $port)) {
            return null;
        }

        return socket_export_stream($socket) ?: null;
    }

    private function receive(float $seconds): void
    {
        [$readable, $none] = [[$this->socket], null];
        if (@stream_select($readable, $none, $none, 0, (int) ($seconds * 1e6)) !== 1) {
            return;
        }
        $bytes = @fread($this->socket, 262_144);
        if ($bytes === false || ($bytes === '' && feof($this->socket))) {
            $this->ended = 'the connection has ended';

            return;
        }
        $this->parser->feed($this->body($bytes));
        if ($this->chunks?->ended) {
            $this->ended = 'the response has ended';
        }
    }

    private function body(string $bytes): string
    {
        if ($this->status === 0) {
            $this->head .= $bytes;
            $end = strpos($this->head, "\r\n\r\n");
            if ($end === false) {
                return '';
            }
            $bytes = substr($this->head, $end + 4);
            $head = substr($this->head, 0, $end);
            $this->status = (int) (explode(' ', $head)[1] ?? 0);
            if (stripos($head, "\r\nTransfer-Encoding: chunked") !== false) {
                $this->chunks = new ChunkedDecoder();
            }
            if ($this->status !== 200) {
                $this->ended = "status $this->status";
            }
        }

        return $this->status !== 200 ? '' : ($this->chunks === null ? $bytes : $this->chunks->decode($bytes));
    }
}
