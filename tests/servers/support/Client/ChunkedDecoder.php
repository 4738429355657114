<?php

declare(strict_types=1);

namespace PhpSse\Tests\Client;

use UnexpectedValueException;

/** Undoes HTTP/1.1's chunked transfer coding (RFC 9112, 7.1) as the bytes come in. */
final class ChunkedDecoder
{
    public bool $ended = false;

    private string $buffer = '';
    /** What the chunk begun still lacks, its final CRLF included. */
    private int $left = 0;
    private bool $last = false;

    public function decode(string $bytes): string
    {
        $this->buffer .= $bytes;
        $decoded = '';
        while (!$this->ended) {
            if ($this->left > 2) {
                $part = substr($this->buffer, 0, $this->left - 2);
                $decoded .= $part;
                $this->left -= strlen($part);
                $this->buffer = substr($this->buffer, strlen($part));
            }
            if ($this->left > 0) {
                if ($this->left > 2 || strlen($this->buffer) < 2) {
                    break;
                }
                if (!str_starts_with($this->buffer, "\r\n")) {
                    throw new UnexpectedValueException('chunk data not followed by CRLF: ' . $this->shown());
                }
                $this->buffer = substr($this->buffer, 2);
                $this->left = 0;
                if ($this->last) {
                    $this->ended = true;
                    break;
                }
            }
            $end = strpos($this->buffer, "\r\n");
            if ($end === false) {
                break;
            }
            if (preg_match('/^([0-9a-fA-F]+)\s*(;.*)?$/', substr($this->buffer, 0, $end), $found) !== 1) {
                throw new UnexpectedValueException('not a chunk size: ' . $this->shown());
            }
            $this->buffer = substr($this->buffer, $end + 2);
            $size = (int) hexdec($found[1]);
            $this->left = $size + 2;
            $this->last = $size === 0;
        }

        return $decoded;
    }

    private function shown(): string
    {
        return json_encode(substr($this->buffer, 0, 80), JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR);
    }
}
