<?php

declare(strict_types=1);

namespace Sse\Endpoint;

/** What an endpoint answers, unless it opens a stream. */
final class Answer
{
    /** @param array<string, string> $headers */
    public function __construct(
        public readonly int $status,
        public readonly string $body = '',
        public readonly array $headers = [],
    ) {
    }

    /** @param array<string, mixed> $value */
    public static function json(array $value, int $status = 200): self
    {
        $body = json_encode(
            (object) $value,
            JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE,
        );

        return new self($status, $body, ['Content-Type' => 'application/json; charset=utf-8']);
    }

    public static function error(int $status, string $text): self
    {
        return self::json(['error' => $text], $status);
    }

    /** @param array<string, string> $headers */
    public function with(array $headers): self
    {
        return new self($this->status, $this->body, $headers + $this->headers);
    }

    public function send(): void
    {
        http_response_code($this->status);
        foreach ($this->headers + ['Cache-Control' => 'no-store', 'X-Content-Type-Options' => 'nosniff'] as $name => $value) {
            header("$name: $value");
        }
        echo $this->body;
    }
}
