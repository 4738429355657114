<?php

declare(strict_types=1);

namespace PhpSse\Tests\Client;

/** An HTTP response as far as it has come in. */
final class Response
{
    /** The status line and headers as they came, without the blank line; null until they are complete. */
    public ?string $head = null;
    public int $status = 0;
    /** @var array<string, string> by lower-case name; equal names joined by comma */
    public array $headers = [];
    /** The body without transfer coding. */
    public string $body = '';
    /** The same as it came, with the transfer coding. */
    public string $coded = '';

    private string $buffer = '';
    private ?ChunkedDecoder $chunks = null;

    /** Takes bytes from the connection, and returns those that they add to the body. */
    public function feed(string $bytes): string
    {
        if ($this->head === null) {
            $this->buffer .= $bytes;
            $end = strpos($this->buffer, "\r\n\r\n");
            if ($end === false) {
                return '';
            }
            $this->readHead(substr($this->buffer, 0, $end));
            $bytes = substr($this->buffer, $end + 4);
            $this->buffer = '';
        }
        $this->coded .= $bytes;
        $added = $this->chunks === null ? $bytes : $this->chunks->decode($bytes);
        $this->body .= $added;

        return $added;
    }

    /** Whether the body is known to be complete without the connection's end. */
    public function isComplete(): bool
    {
        if ($this->head === null) {
            return false;
        }
        if ($this->chunks !== null) {
            return $this->chunks->ended;
        }

        return isset($this->headers['content-length'])
            && strlen($this->body) >= (int) $this->headers['content-length'];
    }

    /** Whether the body has no transfer coding. */
    public function isRaw(): bool
    {
        return $this->chunks === null;
    }

    /** A few words on what is there, for failures' messages. */
    public function summary(): string
    {
        $end = strlen($this->body) > 600 ? '…' . substr($this->body, -600) : $this->body;

        return $this->head === null
            ? 'no complete response head, only ' . json_encode($this->buffer, JSON_INVALID_UTF8_SUBSTITUTE)
            : "{$this->head}\n\n(" . strlen($this->body) . " bytes of body) $end";
    }

    private function readHead(string $head): void
    {
        $this->head = $head;
        $lines = explode("\r\n", $head);
        $this->status = (int) (explode(' ', $lines[0])[1] ?? 0);
        foreach (array_slice($lines, 1) as $line) {
            [$name, $value] = explode(':', $line, 2) + [1 => ''];
            $name = strtolower($name);
            $value = trim($value);
            $this->headers[$name] = isset($this->headers[$name]) ? "{$this->headers[$name]}, $value" : $value;
        }
        if (($this->headers['transfer-encoding'] ?? '') === 'chunked') {
            $this->chunks = new ChunkedDecoder();
        }
    }
}
