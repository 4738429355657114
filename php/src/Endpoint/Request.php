<?php

declare(strict_types=1);

namespace Sse\Endpoint;

/** What an endpoint needs to know of a request. */
final class Request
{
    /** Longest body of a message that is read, in bytes: more than `sse.max_event_size` has by default. */
    private const LONGEST_BODY = 4 << 20;

    /**
     * @param array<array-key, mixed> $query
     * @param array<string, string>   $headers By lower-case name.
     * @param array<array-key, mixed> $form    The fields of a form.
     * @param array<array-key, mixed> $cookies
     */
    public function __construct(
        public readonly string $method = 'GET',
        public readonly array $query = [],
        private readonly array $headers = [],
        public readonly array $form = [],
        public readonly string $body = '',
        public readonly array $cookies = [],
        public readonly bool $secure = false,
    ) {
    }

    /** The request that PHP runs for. */
    public static function current(): self
    {
        $headers = [];
        foreach ($_SERVER as $name => $value) {
            if (is_string($value) && preg_match('/^(?:HTTP_(.+)|(CONTENT_TYPE))$/', (string) $name, $match) === 1) {
                $headers[strtolower(strtr(end($match), '_', '-'))] = $value;
            }
        }
        // Apache keeps it from scripts unless told otherwise, but passes it on after an internal redirect.
        $headers['authorization'] ??= (string) ($_SERVER['REDIRECT_HTTP_AUTHORIZATION'] ?? '');

        return new self(
            (string) ($_SERVER['REQUEST_METHOD'] ?? 'GET'),
            $_GET,
            $headers,
            $_POST,
            (string) file_get_contents('php://input', false, null, 0, self::LONGEST_BODY),
            $_COOKIE,
            !in_array(strtolower((string) ($_SERVER['HTTPS'] ?? '')), ['', 'off'], true),
        );
    }

    /** A header's value; empty if it is not there. */
    public function header(string $name): string
    {
        return trim($this->headers[strtolower($name)] ?? '');
    }

    /** The credentials of `Authorization: Bearer …`. */
    public function bearer(): ?string
    {
        return preg_match('/^Bearer +(\S+)$/Di', $this->header('Authorization'), $match) === 1 ? $match[1] : null;
    }

    /** A parameter of the URL, if it is one text. */
    public function text(string $name): ?string
    {
        $value = $this->query[$name] ?? null;

        return is_string($value) ? $value : null;
    }
}
