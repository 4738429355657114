<?php

declare(strict_types=1);

namespace Sse\Endpoint;

/** What an endpoint needs to know of a request. */
final class Request
{
    /** Longest body of a message that is taken, in bytes: more than `sse.max_event_size` has by default. */
    private const LONGEST_BODY = 4 << 20;

    /**
     * @param array<array-key, mixed> $query
     * @param array<string, string>   $headers By lower-case name.
     * @param array<array-key, mixed> $form    The fields of a form.
     * @param array<array-key, mixed> $cookies
     * @param string                  $port    The port that the web server was reached at; empty: not known.
     * @param list<string>            $watched What the stream watches now that the hub asks about again.
     */
    public function __construct(
        public readonly string $method = 'GET',
        public readonly array $query = [],
        private readonly array $headers = [],
        public readonly array $form = [],
        public readonly string $body = '',
        public readonly array $cookies = [],
        public readonly bool $secure = false,
        public readonly string $port = '',
        public readonly array $watched = [],
    ) {
    }

    /** The request that PHP runs for. */
    public static function current(): self
    {
        /** @var array<string, string> $headers */
        $headers = [];
        foreach ($_SERVER as $name => $value) {
            if (is_string($value) && preg_match('/^(?:HTTP_(.+)|(CONTENT_TYPE))$/', (string) $name, $match) === 1) {
                $headers[strtolower(strtr($match[2] ?? $match[1], '_', '-'))] = $value;
            }
        }
        // Apache keeps it out of there, but has it in all headers, or after an internal redirect under this name.
        $headers['authorization'] ??= (string) ($_SERVER['REDIRECT_HTTP_AUTHORIZATION']
            ?? array_change_key_case(getallheaders() ?: [])['authorization'] ?? '');

        return new self(
            (string) ($_SERVER['REQUEST_METHOD'] ?? 'GET'),
            $_GET,
            $headers,
            $_POST,
            // One byte more tells that there is more.
            (string) file_get_contents('php://input', false, null, 0, self::LONGEST_BODY + 1),
            $_COOKIE,
            !in_array(strtolower((string) ($_SERVER['HTTPS'] ?? '')), ['', 'off'], true),
            (string) ($_SERVER['SERVER_PORT'] ?? ''),
            sse_render()['topics'] ?? [],
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

    /**
     * The answer, 413, to a body that is longer than what is taken: what is missing at its end may be what keeps an update
     * private, so no part of it is used. Null: the body is whole.
     */
    public function refusedBody(): ?Answer
    {
        $most = min(self::LONGEST_BODY, self::postMaxSize());

        return strlen($this->body) > $most ? Answer::error(413, "A body has $most bytes at most") : null;
    }

    /**
     * The answer, 413, to a form of which PHP has left fields out, as it has more than `max_input_vars`. Null: it is whole. Of one
     * in parts (`multipart/form-data`) nothing tells how many there were, so one of just as many is refused, too.
     */
    public function refusedForm(): ?Answer
    {
        $most = (int) ini_get('max_input_vars');
        $isPlain = preg_match('~^application/x-www-form-urlencoded\b~i', $this->header('Content-Type')) === 1;
        // What is empty between two of them is none.
        $fields = $isPlain
            ? substr_count((string) preg_replace('/&+/', '&', trim($this->body, '&')), '&') + 1
            : self::countFields($this->form) + 1;

        return $this->form !== [] && $fields > $most ? Answer::error(413, "A form has $most fields at most") : null;
    }

    /** A parameter of the URL, if it is one text. */
    public function text(string $name): ?string
    {
        $value = $this->query[$name] ?? null;

        return is_string($value) ? $value : null;
    }

    /** @param array<array-key, mixed> $form */
    private static function countFields(array $form): int
    {
        $count = 0;
        foreach ($form as $field) {
            $count += is_array($field) ? self::countFields($field) : 1;
        }

        return $count;
    }

    /** PHP cuts a body of a length that its client has not announced behind `post_max_size`. */
    private static function postMaxSize(): int
    {
        $value = strtolower(trim((string) ini_get('post_max_size')));
        $bytes = (int) $value * (['k' => 1 << 10, 'm' => 1 << 20, 'g' => 1 << 30][substr($value, -1)] ?? 1);

        return $bytes > 0 ? $bytes : PHP_INT_MAX;
    }
}
