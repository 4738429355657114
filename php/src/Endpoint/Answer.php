<?php

declare(strict_types=1);

namespace Sse\Endpoint;

use SseUnavailable;
use Throwable;

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

    /**
     * @internal What a client is told of a problem that nothing has foreseen, or without a hub.
     *
     * @param callable(int, string): self $error Makes the endpoint's own answer of a status and a text.
     */
    public static function problem(Throwable $problem, callable $error): self
    {
        if ($problem instanceof SseUnavailable) {
            SparseLog::tell('unavailable', $problem->getMessage());

            return $error(503, 'Not available at the moment')->with(['Retry-After' => '2']);
        }
        // What went wrong is for the log: a message may have in it what no page should see.
        $place = "{$problem->getFile()}:{$problem->getLine()}";
        error_log($problem::class . ": {$problem->getMessage()} in $place");

        return $error(500, 'Something is wrong on the server; its log says what');
    }

    /** @param array<string, string> $headers */
    public function with(array $headers): self
    {
        return new self($this->status, $this->body, $headers + $this->headers);
    }

    public function send(): void
    {
        $headers = $this->headers + ['Cache-Control' => 'no-store', 'X-Content-Type-Options' => 'nosniff'];
        foreach ($headers as $name => $value) {
            header("$name: $value");
        }
        // Last, as PHP sets it for some headers, WWW-Authenticate among them.
        http_response_code($this->status);
        echo $this->body;
    }
}
