<?php

declare(strict_types=1);

namespace Sse\Doctor;

use RuntimeException;

/** A response that is read while it comes: what a client library would hide is what the doctor looks for. */
final class HttpStream
{
    private const MAX_HEAD = 1 << 16;
    /** Of the body, so much of its end is kept at least: a busy stream never ends. */
    private const KEPT = 1 << 20;

    public int $status = 0;
    /** @var array<string, string> By name in lower case. */
    public array $headers = [];
    /** Its end, at least the last MiB. */
    public string $body = '';
    /** Bytes of the body that have come. */
    public int $received = 0;
    private bool $ended = false;
    /** What TLS has agreed on, such as `h2`; empty without. */
    public readonly string $protocol;
    /** @var resource */
    private $socket;
    private string $raw = '';
    private bool $isChunked = false;

    /**
     * Sends a GET request.
     *
     * @param array<string, string> $headers
     * @param bool                  $trustsAll Whether any certificate will do.
     *
     * @throws RuntimeException The address is none, nobody answers there, or TLS failed.
     */
    public function __construct(
        string $url,
        array $headers,
        float $patience,
        bool $trustsAll = false,
        bool $asksForHttp2 = false,
    ) {
        $parts = parse_url($url);
        $scheme = strtolower($parts['scheme'] ?? '');
        $host = $parts['host'] ?? '';
        if ($host === '' || !in_array($scheme, ['http', 'https'], true)) {
            throw new RuntimeException("'$url' is no address such as https://www.example.org/stream.php");
        }
        $port = $parts['port'] ?? ($scheme === 'https' ? 443 : 80);
        $context = stream_context_create(['ssl' => [
            'alpn_protocols' => $asksForHttp2 ? 'h2,http/1.1' : 'http/1.1',
            'verify_peer' => !$trustsAll,
            'verify_peer_name' => !$trustsAll,
        ]]);
        $address = ($scheme === 'https' ? 'ssl' : 'tcp') . '://' . "$host:$port";
        // Of TLS the first warning tells why; the error itself says nothing.
        $warnings = [];
        set_error_handler(static function (int $_level, string $message) use (&$warnings): bool {
            $warnings[] = $message;

            return true;
        });
        try {
            $socket = stream_socket_client($address, $code, $why, $patience, STREAM_CLIENT_CONNECT, $context);
        } finally {
            restore_error_handler();
        }
        if ($socket === false) {
            $why = $scheme === 'https' && $warnings !== [] ? $warnings[0] : "$why ($code)";

            throw new RuntimeException("$host:$port: " . trim((string) preg_replace('/\s+/', ' ', $why)));
        }
        $this->socket = $socket;
        /** @var array<string, mixed> $about */
        $about = stream_get_meta_data($socket);
        $crypto = is_array($about['crypto'] ?? null) ? $about['crypto'] : [];
        $this->protocol = is_string($crypto['alpn_protocol'] ?? null) ? $crypto['alpn_protocol'] : '';
        stream_set_blocking($socket, false);
        $head = 'GET ' . ($parts['path'] ?? '/') . (isset($parts['query']) ? "?{$parts['query']}" : '') . " HTTP/1.1\r\n"
            . 'Host: ' . $host . (isset($parts['port']) ? ":$port" : '') . "\r\n";
        foreach ($headers + ['Accept' => 'text/event-stream', 'Cache-Control' => 'no-cache'] as $name => $value) {
            if (strpbrk("$name$value", "\r\n\0") !== false) {
                throw new RuntimeException("the header $name has a line break");
            }
            $head .= "$name: $value\r\n";
        }
        if (!$asksForHttp2) {
            fwrite($socket, "$head\r\n");
        }
    }

    /** Whether the response is complete, or the connection was closed. */
    public function hasEnded(): bool
    {
        return $this->ended;
    }

    public function close(): void
    {
        fclose($this->socket);
    }

    /** Waits until the status and the headers are there; false: not within this time. */
    public function awaitHead(float $seconds): bool
    {
        return $this->await(fn (): bool => $this->status !== 0, $seconds);
    }

    /**
     * Reads until a condition holds; false: it did not within this time, or the response ended before.
     *
     * @param callable(): bool $holds
     */
    public function await(callable $holds, float $seconds): bool
    {
        $end = microtime(true) + $seconds;
        while (!$holds()) {
            $left = $end - microtime(true);
            if ($this->ended || $left <= 0.0) {
                return false;
            }
            $readable = [$this->socket];
            $none = null;
            if ((int) stream_select($readable, $none, $none, (int) $left, (int) (fmod($left, 1.0) * 1_000_000)) > 0) {
                $this->read();
            }
        }

        return true;
    }

    private function read(): void
    {
        $bytes = fread($this->socket, 1 << 16);
        if ($bytes === false || $bytes === '') {
            $this->ended = feof($this->socket);

            return;
        }
        $this->raw .= $bytes;
        if ($this->status === 0) {
            $this->readHead();
        }
        if ($this->status !== 0) {
            $this->readBody();
        }
    }

    private function readHead(): void
    {
        $length = strpos($this->raw, "\r\n\r\n");
        if ($length === false) {
            $this->ended = strlen($this->raw) > self::MAX_HEAD;

            return;
        }
        $lines = explode("\r\n", substr($this->raw, 0, $length));
        $this->raw = substr($this->raw, $length + 4);
        $status = preg_match('~^HTTP/1\.[01] (\d{3})~', $lines[0], $match) === 1 ? (int) $match[1] : 599;
        if ($status >= 100 && $status < 200) {
            $this->readHead();

            return;
        }
        foreach (array_slice($lines, 1) as $line) {
            $parts = explode(':', $line, 2);
            $this->headers[strtolower(trim($parts[0]))] = trim($parts[1] ?? '');
        }
        $this->status = $status;
        $this->isChunked = strtolower($this->header('transfer-encoding')) === 'chunked';
    }

    public function header(string $name): string
    {
        return $this->headers[$name] ?? '';
    }

    private function readBody(): void
    {
        if (!$this->isChunked) {
            $this->keep($this->raw);
            $this->raw = '';
            $length = $this->header('content-length');
            $this->ended = $length !== '' && $this->received >= (int) $length;

            return;
        }
        while (($end = strpos($this->raw, "\r\n")) !== false) {
            $length = (int) hexdec(explode(';', substr($this->raw, 0, $end), 2)[0]);
            $from = $end + 2;
            if ($length === 0) {
                $this->ended = true;

                return;
            }
            if (strlen($this->raw) < $from + $length + 2) {
                return;
            }
            $this->keep(substr($this->raw, $from, $length));
            $this->raw = substr($this->raw, $from + $length + 2);
        }
    }

    private function keep(string $bytes): void
    {
        $this->received += strlen($bytes);
        $this->body .= $bytes;
        if (strlen($this->body) > 2 * self::KEPT) {
            $this->body = substr($this->body, -self::KEPT);
        }
    }
}
