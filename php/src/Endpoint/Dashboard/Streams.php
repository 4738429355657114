<?php

declare(strict_types=1);

namespace Sse\Endpoint\Dashboard;

use SseInvalidArgument;

/**
 * Finds open streams of this machine. An answer has at most so many of them, and a search looks at so many; however many there
 * are, the next request goes on where it ended.
 *
 * @internal
 *
 * @phpstan-type Row = array{
 *     topics: list<string>, topic_count: int, user: string|null, address: string|null, since: int, bytes: int, queue: int,
 *     callback: bool, framing: string|null
 * }
 */
final class Streams
{
    /** Most streams in an answer. */
    private const PAGE = 50;
    /** Most streams that one request looks at, and how many of them at once. */
    private const MOST = 10_000;
    private const CHUNK = 250;
    /** Seconds after which a request ends its search. */
    private const PATIENCE = 1.0;
    /** Most topics of a stream that are shown. */
    private const TOPICS = 10;

    /**
     * The next streams that are found, as JSON: `streams`, how many the request has `seen`, and the id `after` which the search
     * goes on; null: it is over.
     *
     * @param string $by `topic`, `user`, `stream` (a public id), `address` or `slow` (those that read slowly); empty: all.
     *
     * @throws SseInvalidArgument It is something else, or `$what` can't be one.
     */
    public static function find(string $by, string $what, ?string $after): string
    {
        $matches = match ($by) {
            'address' => self::address($what),
            'slow' => self::slow(),
            '', 'topic', 'user', 'stream' => null,
            default => throw new SseInvalidArgument("streams can't be found by '$by'; by topic, user, stream, address or slow"),
        };
        if ($matches !== null) {
            return self::scan($matches, $after);
        }
        $streams = \sse_streams(
            topic: $by === 'topic' ? $what : null,
            user: $by === 'user' ? $what : null,
            stream: $by === 'stream' ? $what : null,
            after: $after,
            limit: self::PAGE,
        );
        $isLast = count($streams) < self::PAGE;

        return self::answer($streams, count($streams), $isLast ? null : array_key_last($streams));
    }

    /** A stream, as JSON; null: it is not open. */
    public static function one(string $id): ?string
    {
        $stream = self::get($id);

        return $stream === null ? null : Json::of(self::row($id, $stream));
    }

    /** @return list<string> What a stream watches, without the hub's own topics. */
    public static function topics(string $id): array
    {
        $topics = self::get($id)['topics'] ?? [];

        return array_values(array_filter($topics, static fn (string $topic): bool => !str_starts_with($topic, '$')));
    }

    /** @return Row|null */
    private static function get(string $id): ?array
    {
        return \sse_streams(stream: $id, limit: 1)[$id] ?? null;
    }

    /** @param callable(Row): bool $matches */
    private static function scan(callable $matches, ?string $after): string
    {
        $deadline = microtime(true) + self::PATIENCE;
        $found = [];
        $seen = 0;
        do {
            $chunk = \sse_streams(after: $after, limit: self::CHUNK);
            foreach ($chunk as $id => $stream) {
                $seen++;
                $after = $id;
                if ($matches($stream)) {
                    $found[$id] = $stream;
                    if (count($found) === self::PAGE) {
                        return self::answer($found, $seen, $after);
                    }
                }
            }
            if (count($chunk) < self::CHUNK) {
                return self::answer($found, $seen, null);
            }
        } while ($seen < self::MOST && microtime(true) < $deadline);

        return self::answer($found, $seen, $after);
    }

    /** @return callable(Row): bool whether it has bytes that its client has not read yet */
    private static function slow(): callable
    {
        return /** @param Row $stream */ static fn (array $stream): bool => $stream['queue'] > 0;
    }

    /** @return callable(Row): bool whether a stream's client has this address, or is of its network */
    private static function address(string $what): callable
    {
        $wanted = self::packed($what);
        if ($wanted === null) {
            throw new SseInvalidArgument("'$what' is not an address such as 192.0.2.7 or 2001:db8::7");
        }

        return static function (array $stream) use ($wanted): bool {
            $address = $stream['address'];

            return is_string($address) && self::packed($address) === $wanted;
        };
    }

    /** An address as bytes: of IPv6 the network of 64 bits, which is all that the hub counts and tells. */
    private static function packed(string $address): ?string
    {
        $packed = @inet_pton(explode('/', trim($address))[0]);
        if ($packed === false) {
            return null;
        }
        // An IPv4 address in IPv6's notation is one of IPv4.
        if (str_starts_with($packed, "\0\0\0\0\0\0\0\0\0\0\xff\xff")) {
            return substr($packed, 12);
        }

        return strlen($packed) === 16 ? substr($packed, 0, 8) : $packed;
    }

    /** @param array<string, Row> $streams */
    private static function answer(array $streams, int $seen, ?string $after): string
    {
        $rows = [];
        foreach ($streams as $id => $stream) {
            $rows[] = self::row((string) $id, $stream);
        }

        return Json::of(['streams' => $rows, 'seen' => $seen, 'after' => $after]);
    }

    /**
     * @param Row $stream
     *
     * @return array{id: string, ...}
     */
    private static function row(string $id, array $stream): array
    {
        return ['id' => $id, 'topics' => array_slice($stream['topics'], 0, self::TOPICS)] + $stream;
    }
}
