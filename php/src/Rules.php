<?php

declare(strict_types=1);

namespace Sse;

use JsonException;
use SseInvalidArgument;

/**
 * The extension's rules for topics and events, with its own messages: for what has to refuse the same without it, the
 * polyfill and the publisher of tests, and for what asks first.
 *
 * @internal
 */
final class Rules
{
    public const LONGEST_LINE = 255;
    public const LONGEST_TOPIC = 255;
    public const LARGEST_RETRY = 86_400_000;
    public const LARGEST_SPREAD = 60_000;
    /** Segments of a pattern with a wildcard. */
    public const MOST_WILD_SEGMENTS = 16;
    private const JSON = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR;

    /**
     * Most topics of an event or a stream, also where the extension is missing.
     *
     * @return positive-int
     */
    public static function mostTopics(): int
    {
        // What the extension has not registered is no setting that ini_get() knows.
        return max(1, Polyfill::isActive() ? Polyfill::mostTopics() : (int) ini_get('sse.max_topics'));
    }

    /** @throws SseInvalidArgument */
    public static function checkTopic(string $topic, string $function = 'sse_publish()'): void
    {
        $problem = self::problemOfShape($topic, $function);
        if ($problem !== null) {
            throw new SseInvalidArgument($problem);
        }
        if (str_contains($topic, '*')) {
            $printable = self::printable($topic);
            throw new SseInvalidArgument(
                "topic '$printable' contains '*'; wildcards are for watching only, give a full topic",
            );
        }
        if (str_starts_with($topic, '$')) {
            $printable = self::printable($topic);
            throw new SseInvalidArgument(
                "topic '$printable' begins with '$'; such topics are the hub's own, nobody else publishes to them",
            );
        }
    }

    /** @throws SseInvalidArgument */
    public static function checkPattern(string $pattern, string $function = 'sse_stream()'): void
    {
        $problem = self::problem($pattern, $function);
        if ($problem !== null) {
            throw new SseInvalidArgument($problem);
        }
    }

    /** Why it is neither a topic nor a pattern; null: it is one. */
    public static function problem(string $pattern, string $function = 'sse_stream()'): ?string
    {
        $problem = self::problemOfShape($pattern, $function);
        if ($problem !== null || !str_contains($pattern, '*')) {
            return $problem;
        }
        $segments = explode('.', $pattern);
        foreach ($segments as $i => $segment) {
            if ($segment === '**' && $i < count($segments) - 1) {
                $printable = self::printable($pattern);

                return "pattern '$printable': '**' may only be the last segment, as in 'orders.**'";
            }
            if ($segment !== '*' && $segment !== '**' && str_contains($segment, '*')) {
                $printable = self::printable($pattern);

                return "pattern '$printable': '*' must be a whole segment, as in 'orders.*.status'";
            }
        }
        $most = self::MOST_WILD_SEGMENTS;
        $count = count($segments);
        if ($count > $most) {
            $printable = self::printable($pattern);

            return "pattern '$printable' has $count segments; at most $most are allowed where there is a wildcard";
        }

        return null;
    }

    private static function problemOfShape(string $topic, string $function): ?string
    {
        if ($topic === '') {
            return 'a topic must not be empty';
        }
        if (strlen($topic) > self::LONGEST_TOPIC) {
            $start = self::printable((string) preg_replace('/^(.{0,40}).*$/su', '$1', $topic));
            $most = self::LONGEST_TOPIC;

            return sprintf("topic '%s…' is %d bytes long; at most $most are allowed", $start, strlen($topic));
        }
        if (preg_match('//u', $topic) !== 1) {
            return "$function: a topic must be valid UTF-8";
        }
        if (preg_match('/[\s\p{Z}\p{Cc}]/u', $topic) === 1) {
            $printable = self::printable($topic);

            return "topic '$printable' contains white space or a control character, which topics can't have";
        }
        if (in_array('', explode('.', $topic), true)) {
            $printable = self::printable($topic);

            return "topic '$printable' has an empty segment; write names joined by single dots, such as 'chat.general'";
        }

        return null;
    }

    /**
     * Whether a checked pattern matches a checked topic, or all that another checked pattern does. One that begins with a
     * wildcard matches no topic of the hub's own.
     */
    public static function matches(string $pattern, string $topic): bool
    {
        if ($pattern === $topic) {
            return true;
        }
        if (!str_contains($pattern, '*') || (str_starts_with($pattern, '*') && str_starts_with($topic, '$'))) {
            return false;
        }
        $topic = explode('.', $topic);
        $segments = explode('.', $pattern);
        foreach ($segments as $i => $segment) {
            if (!isset($topic[$i])) {
                return false;
            }
            if ($segment === '**') {
                return true;
            }
            if ($topic[$i] === '**' || ($segment !== '*' && $segment !== $topic[$i])) {
                return false;
            }
        }

        return count($topic) === count($segments);
    }

    /**
     * What a reader of these patterns is told as the event's topic: the first of its topics that one of them matches.
     *
     * @param list<string> $patterns
     * @param list<string> $topics
     *
     * @return list<string> those that are watched
     */
    public static function watched(array $patterns, array $topics): array
    {
        return array_values(array_filter($topics, static function (string $topic) use ($patterns): bool {
            foreach ($patterns as $pattern) {
                if (self::matches($pattern, $topic)) {
                    return true;
                }
            }

            return false;
        }));
    }

    /**
     * The data of an event as text.
     *
     * @throws SseInvalidArgument It is too large, or no UTF-8.
     * @throws JsonException      It can't be encoded.
     */
    public static function data(mixed $data, int $most): string
    {
        $text = is_string($data) ? $data : (string) json_encode($data, self::JSON);
        if (preg_match('//u', $text) !== 1) {
            throw new SseInvalidArgument(
                'data is not valid UTF-8; event streams are text, encode binary data, for example with base64_encode()',
            );
        }
        if (strlen($text) > $most) {
            $size = strlen($text);
            throw new SseInvalidArgument(
                "data is $size bytes long; sse.max_event_size allows $most; raise it, or publish where the client can "
                . 'fetch the rest',
            );
        }

        return $text;
    }

    /**
     * Checks what is written as one line of the stream: "the field value" ends at the next CR or LF.
     *
     * @throws SseInvalidArgument
     */
    public static function checkLine(string $what, ?string $value): void
    {
        if ($value === null) {
            return;
        }
        if ($value === '') {
            throw new SseInvalidArgument("$what must not be empty; leave it out instead");
        }
        if (strlen($value) > self::LONGEST_LINE) {
            $size = strlen($value);
            $most = self::LONGEST_LINE;
            throw new SseInvalidArgument("$what is $size bytes long; at most $most are allowed");
        }
        if (strpbrk($value, "\r\n") !== false || str_contains($value, "\0")) {
            $printable = self::printable($value);
            throw new SseInvalidArgument(
                "$what '$printable' contains a line break or NUL, which would end its line in the stream",
            );
        }
        if (preg_match('//u', $value) !== 1) {
            throw new SseInvalidArgument("$what must be valid UTF-8");
        }
    }

    /** @throws SseInvalidArgument */
    public static function checkId(?string $id): void
    {
        self::checkLine('event id', $id);
        // Milliseconds since September 2001 at the least.
        if ($id !== null && preg_match('/^0*[1-9]\d{12,}-\d+$/D', $id) === 1) {
            throw new SseInvalidArgument(
                "event id '$id' has the shape of the hub's own ids; choose another, such as one with a letter, or "
                . 'leave it out',
            );
        }
    }

    /**
     * Checks what the arguments of a publication have beside data and id.
     *
     * @param list<string> $topics
     *
     * @throws SseInvalidArgument
     */
    public static function checkPublication(
        array $topics,
        ?string $type,
        ?int $retry,
        ?string $key,
        int $mostTopics,
    ): void {
        if ($topics === []) {
            throw new SseInvalidArgument('sse_publish(): no topic given; name at least one');
        }
        if (count($topics) > $mostTopics) {
            $count = count($topics);
            throw new SseInvalidArgument("$count topics given; sse.max_topics allows $mostTopics for one event");
        }
        foreach ($topics as $topic) {
            self::checkTopic($topic);
        }
        self::checkLine('event type', $type);
        $most = self::LARGEST_RETRY;
        if ($retry !== null && ($retry < 0 || $retry > $most)) {
            throw new SseInvalidArgument("sse_publish(): \$retry must be from 0 to $most milliseconds, $retry given");
        }
        if ($key !== null && ($key === '' || strlen($key) > self::LONGEST_LINE)) {
            $size = strlen($key);
            throw new SseInvalidArgument(
                "the key must have 1 to 255 bytes, $size given; leave it out to publish each time",
            );
        }
        if ($key !== null && preg_match('//u', $key) !== 1) {
            throw new SseInvalidArgument('sse_publish(): $key must be valid UTF-8');
        }
    }

    /** @throws SseInvalidArgument */
    public static function checkSpread(int $spread): void
    {
        $most = self::LARGEST_SPREAD;
        if ($spread < 0 || $spread > $most) {
            throw new SseInvalidArgument("sse_publish(): \$spread must be from 0 to $most milliseconds, $spread given");
        }
    }

    /** @throws SseInvalidArgument */
    public static function checkTraceparent(?string $traceparent): void
    {
        $pattern = '/^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/D';
        if ($traceparent !== null && preg_match($pattern, $traceparent) !== 1) {
            $printable = self::shortened($traceparent);
            throw new SseInvalidArgument(
                "traceparent '$printable' is none of W3C's Trace Context, such as "
                . '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01; leave it out to publish without a trace',
            );
        }
    }

    /** The beginning of a value of any length, for error messages. */
    public static function shortened(string $value): string
    {
        $start = (string) preg_replace('/^(.{64}).+$/su', '$1', $value);

        return self::printable($start) . ($start === $value ? '' : '…');
    }

    private static function printable(string $value): string
    {
        return (string) preg_replace_callback(
            // Control characters, and those that change the direction of text, as Rust writes them.
            '/[\x00-\x1f\x7f]|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]/',
            static fn (array $found): string => match ($found[0]) {
                "\n" => '\n',
                "\r" => '\r',
                "\t" => '\t',
                default => sprintf('\u{%x}', strlen($found[0]) === 1
                    ? ord($found[0])
                    : hexdec(substr((string) json_encode($found[0]), 3, 4))),
            },
            $value,
        );
    }
}
